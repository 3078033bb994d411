/** The content of the session of one request: data and flash values as the app sees them, and how they are kept. */
import { Changes, type Fields } from './changes.js'
import { type Content, copyOf, decode, encode, fieldOf } from './codec.js'
import { Recent } from './crypto/recent.js'
import { Fault } from './errors.js'
import { checkSchema, type StandardSchema } from './schema.js'
import type { Proof } from './types.js'

/** How data begins, and what it must look like. */
export interface Shape {
  readonly initial: () => Fields
  readonly schema: StandardSchema | undefined
}

/**
 * What was parsed lately, by its text, so that a session that is only read is parsed once and not on every request. Shared
 * by all of them: whoever changes anything takes a copy first.
 */
const parsed = new Recent<Content>()

function recall(text: string): Content | undefined {
  const known = parsed.get(text, text)
  if (known) return known
  const content = decode(text)
  if (content) parsed.set(text, content, text)
  return content
}

/** How the user of that text's session proved who they are. */
export function proofIn(text: string): Proof | undefined {
  return recall(text)?.auth
}

/** Whose content it is. */
export interface Owner extends Shape {
  /** Told before anything that may come to a change. */
  touch(): void
  /** Told when what was kept cannot be read; the data then begins anew. */
  unreadable(): void
}

/** What a login says of the session that it makes. */
export interface LoginContent {
  /** The keys that come along; all where it is absent. */
  readonly keep: readonly string[] | undefined
  readonly auth: Proof | undefined
}

/** The opened content; parsed when somebody first looks at it. */
export class Contents {
  readonly data: Changes
  readonly #owner: Owner
  readonly #text: string | undefined
  readonly #kept: Pick<Content, 'flash' | 'vault' | 'auth'>
  readonly #copy: (value: unknown) => unknown
  #flash: Changes | undefined
  #vault: Changes | undefined
  #closed = false

  constructor(text: string | undefined, owner: Owner) {
    this.#owner = owner
    this.#text = text
    // What `initial` and a schema give may be the same objects every time, and more than JSON.
    const parsed = text !== undefined && owner.schema === undefined
    this.#copy = parsed ? copyOfText : copyOf
    const content = this.#read(text, parsed ? recall : decode, owner)
    this.data = new Changes('data', content.data, owner, this.#copy)
    this.#kept = content
  }

  /** Most requests flash nothing. */
  get flash(): Changes {
    if (this.#flash === undefined) {
      this.#flash = new Changes('flash', { ...this.#kept.flash }, this.#owner, this.#copy)
      if (this.#closed) this.#flash.close()
    }
    return this.#flash
  }

  /** Few sessions have anything in a vault. */
  get vault(): Changes {
    if (this.#vault === undefined) {
      this.#vault = new Changes('vault', { ...this.#kept.vault }, this.#owner, this.#copy)
      if (this.#closed) this.#vault.close()
    }
    return this.#vault
  }

  get dirty(): boolean {
    return this.data.dirty || this.#flash?.dirty === true || this.#vault?.dirty === true
  }

  /**
   * This request's changes over the content of `text`. How the user proved who they are is what stands there, so that
   * no request that is under way undoes or repeats a proof; only a login says it anew.
   */
  replay(text: string | undefined, login: LoginContent | undefined): string {
    const keep = login?.keep
    // Where nobody was faster, what the app was shown is kept: neither `initial` nor an update is asked for another.
    const base = text === this.#text && !keep ? undefined : this.#read(text, decode)
    if (base && keep) base.data = { ...this.#owner.initial(), ...pick(base.data, keep) }
    const { flash, vault = {}, auth } = base ?? this.#kept
    const content: Content = {
      data: this.data.replay(base?.data),
      flash: this.#flash ? this.#flash.replay(base?.flash) : flash,
      vault: this.#vault ? this.#vault.replay(base && vault) : vault,
      auth: login ? login.auth : auth,
    }
    const checked = this.#owner.schema && checkSchema(this.#owner.schema, content.data)
    if (checked && 'misfit' in checked)
      throw new Fault('ERR_DATA', `${fieldOf('data', checked.misfit)} does not fit the schema`)
    return encode(content)
  }

  close(): void {
    this.#closed = true
    this.data.close()
    this.#flash?.close()
    this.#vault?.close()
  }

  /** Spread, not assigned: a `__proto__` in the text stays an ordinary key. `told`: who learns that it cannot be read. */
  #read(text: string | undefined, parse: typeof decode, told?: Owner): Content {
    const { initial, schema } = this.#owner
    if (text === undefined) return fresh(initial)
    const content = parse(text)
    const data = content && over(initial(), content.data)
    const checked = schema && data && checkSchema(schema, data)
    if (!data || (checked && 'misfit' in checked)) {
      told?.unreadable()
      return { ...fresh(initial), auth: content?.auth }
    }
    const { flash, vault, auth } = content
    return { data: checked ? { ...(checked.value as Fields) } : data, flash, vault, auth }
  }
}

function fresh(initial: Shape['initial']): Content {
  return { data: { ...initial() }, flash: {} }
}

/** What was kept, and what it does not say as it is in the beginning. */
function over(initial: Fields, kept: Fields): Fields {
  for (const key in initial) if (!Object.hasOwn(kept, key)) return { ...initial, ...kept }
  // Alone, an object is copied as it stands; over another, key by key, which takes ten times as long.
  return { ...kept }
}

/** For what came from JSON, where this is the quickest way. */
function copyOfText(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function pick(fields: Fields, keys: readonly string[]): Fields {
  return Object.fromEntries(keys.filter((key) => Object.hasOwn(fields, key)).map((key) => [key, fields[key]]))
}
