/** Forms: a POST with the session-bound token, and fields whose label, hint and error belong together. */
import type { Child } from 'hono/jsx'
import type { JSX } from 'hono/jsx/jsx-runtime'

/** The name of the hidden field that carries the session-bound token. */
export const CSRF_FIELD = 'csrf'

/** A form that changes something. `csrf` is absent for a visitor without a session; none is begun for a form's sake. */
export function Form(props: {
  action: string
  csrf: string | undefined
  class?: string
  children: Child
}): JSX.Element {
  return (
    <form method="post" action={props.action} class={props.class}>
      {props.csrf === undefined ? null : <input type="hidden" name={CSRF_FIELD} value={props.csrf} />}
      {props.children}
    </form>
  )
}

/** What a field is made of. `name` is its id as well, so a page has one field of each name. */
export interface FieldProps {
  readonly name: string
  readonly label: string
  readonly type?: 'text' | 'password'
  readonly autocomplete: 'username' | 'current-password' | 'new-password'
  readonly value?: string | undefined
  readonly hint?: string | undefined
  readonly error?: string | undefined
  readonly minlength?: number
  readonly maxlength?: number
  readonly autofocus?: boolean
}

/** A labelled input; its hint and its error are read out with it. */
export function Field(props: FieldProps): JSX.Element {
  const { name, label, hint, error } = props
  const notes = [hint && `${name}-hint`, error && `${name}-error`].filter(Boolean).join(' ')
  return (
    <div class="field">
      <label for={name}>{label}</label>
      <input
        id={name}
        name={name}
        type={props.type ?? 'text'}
        autocomplete={props.autocomplete}
        value={props.value}
        minlength={props.minlength}
        maxlength={props.maxlength}
        required
        autofocus={props.autofocus || error !== undefined}
        aria-invalid={error === undefined ? undefined : 'true'}
        aria-describedby={notes || undefined}
        // A name is not a word: no capital at the start, no corrections.
        autocapitalize="none"
        autocorrect="off"
      />
      {error === undefined ? null : (
        <p class="error" id={`${name}-error`}>
          {error}
        </p>
      )}
      {hint === undefined ? null : (
        <p class="hint" id={`${name}-hint`}>
          {hint}
        </p>
      )}
    </div>
  )
}

/** What is wrong with the whole form, above its fields. */
export function Problem({ children }: { children: Child }): JSX.Element {
  return (
    <p class="problem" role="alert">
      {children}
    </p>
  )
}
