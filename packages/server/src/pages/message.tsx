/** A page that only says something: not found, not allowed, not working. */
import type { Child } from 'hono/jsx'
import type { JSX } from 'hono/jsx/jsx-runtime'
import { type Frame, Layout } from './layout.js'

/** One heading, one sentence or two, one way on. */
export function Message(props: {
  title: string
  frame: Frame | undefined
  back?: readonly [href: string, label: string]
  children: Child
}): JSX.Element {
  const [href, label] = props.back ?? ['/', 'To the shop']
  return (
    <Layout title={props.title} frame={props.frame}>
      <section class="message">
        <h1>{props.title}</h1>
        <p>{props.children}</p>
        <a class="button" href={href}>
          {label}
        </a>
      </section>
    </Layout>
  )
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'That request made no sense',
  401: 'That did not work',
  403: 'That is not allowed',
  404: 'There is nothing here',
  405: 'That is not how this works',
  409: 'Something else came first',
  413: 'That was too much at once',
  415: 'That is not a form',
  429: 'Too many attempts',
  503: 'Sojourn is out of breath',
}

/**
 * A whole page for an error, as text. Asks nothing of the session, which may be what failed. `message` is shown as it
 * is, escaped.
 */
export function errorPage(status: number, message: string): string {
  return String(
    <Message title={TITLES[status] ?? 'Something went wrong'} frame={undefined}>
      {message}
    </Message>,
  )
}
