/**
 * What a request changed, key by key. Two requests that change different keys both survive a conflict, because only a
 * request's own changes are done again over the newer record; `update` does even the same key again, exactly.
 * Only keys that were touched are ever compared, so that reading costs next to nothing at commit.
 */
import { checkValue, fieldOf, isPlain } from './codec.js'
import { SessionCommittedError } from './errors.js'

/** What is kept, key by key. */
export type Fields = Record<string, unknown>
type Update = (value: unknown) => unknown
/** Makes a copy of an object that nobody else has any part of. */
type Copy = (value: unknown) => unknown

/**
 * One object of a session's content (its data, or its flash values), and what became of it. It is its own proxy
 * handler: a request that only reads should not pay for closures.
 */
export class Changes implements ProxyHandler<Fields> {
  /** The object for the app: it reads and writes the fields, and takes note. */
  readonly view: Fields
  readonly #name: string
  readonly #owner: { touch(): void }
  readonly #fields: Fields
  /** Objects in the fields may be other requests' too, and are copied before anybody gets hold of them. */
  readonly #copy: Copy
  /** Keys whose objects were handed out, and may have been changed inside, with their text before that. */
  #lent: Map<string, string> | undefined
  /** Keys whose objects the app put there: they are its own, and it may keep them for longer than this request. */
  #given: Set<string> | undefined
  /** Keys that were read after the commit, and hold a frozen copy since. */
  #shown: Set<string> | undefined
  /** Changed keys: with the functions to run again, or `null` where the present value is what counts. */
  #changed: Map<string, Update[] | null> | undefined
  #committed = false

  /** The owner is told before anything that may come to a change. */
  constructor(name: string, fields: Fields, owner: { touch(): void }, copy: Copy) {
    this.#name = name
    this.#fields = fields
    this.#owner = owner
    this.#copy = copy
    this.view = new Proxy(fields, this)
  }

  get(fields: Fields, key: string | symbol): unknown {
    return typeof key === 'string' ? this.#read(key) : Reflect.get(fields, key)
  }

  /** A descriptor shows the value too: as a read does, and not the object that other requests have as well. */
  getOwnPropertyDescriptor(fields: Fields, key: string | symbol): PropertyDescriptor | undefined {
    if (typeof key !== 'string' || !Object.hasOwn(fields, key)) return Reflect.getOwnPropertyDescriptor(fields, key)
    return { value: this.#read(key), writable: true, enumerable: true, configurable: true }
  }

  set(_: Fields, key: string | symbol, value: unknown): boolean {
    return typeof key === 'string' && this.assign(key, value)
  }

  /** Getters and fields that cannot be changed again are no data; `Object.freeze` asks for such. */
  defineProperty(_: Fields, key: string | symbol, field: PropertyDescriptor): boolean {
    const plain = 'value' in field && field.configurable !== false && field.writable !== false
    return typeof key === 'string' && plain && this.assign(key, field.value)
  }

  deleteProperty(_: Fields, key: string | symbol): boolean {
    return typeof key === 'string' && this.remove(key)
  }

  setPrototypeOf(): boolean {
    return false
  }

  preventExtensions(): boolean {
    return false
  }

  /** Sets a key. Throws `ERR_DATA` at once for what cannot be kept, where the stack still shows who did it. */
  assign(key: string, value: unknown): true {
    this.#begin(key)
    checkValue(this.#name, key, value)
    this.#note(key, null)
    this.#give(key, value)
    return true
  }

  remove(key: string): true {
    this.#begin(key)
    this.#note(key, null)
    delete this.#fields[key]
    return true
  }

  /** Sets a key to `fn` of its value, and remembers `fn`: on a conflict it is run again over the newer value. */
  update(key: string, fn: Update): unknown {
    this.#begin(key)
    this.#noteMutation(key)
    const before = this.#take(key)
    const value = fn(before)
    checkValue(this.#name, key, value)
    const earlier = this.#changed?.get(key)
    if (earlier !== null) this.#note(key, [...(earlier ?? []), fn])
    if (value !== before) this.#give(key, value)
    this.#lent?.delete(key)
    return this.#read(key)
  }

  /** Whether anything differs from what was opened. */
  get dirty(): boolean {
    if (this.#lent) for (const key of this.#lent.keys()) this.#noteMutation(key)
    return this.#changed !== undefined
  }

  /**
   * Does this request's changes again, over `base`; without one, over what it saw itself, where nothing is computed a
   * second time. Throws `ERR_DATA` for what cannot be kept.
   */
  replay(base?: Fields): Fields {
    const fields = base ?? { ...this.#fields }
    if (!this.dirty) return fields
    for (const [key, updates] of this.#changed!) {
      const again = base !== undefined && updates !== null
      const value = again ? updates.reduce((value, fn) => fn(value), this.#copied(base, key)) : own(this.#fields, key)
      checkValue(this.#name, key, value)
      if (value === undefined) delete fields[key]
      else define(fields, key, value)
    }
    return fields
  }

  /** After the commit: whoever still holds an object of this session gets an error, not silence, for changing it. */
  close(): void {
    this.#committed = true
    if (!this.#lent) return
    for (const key of this.#lent.keys()) {
      // What was changed inside may hold objects of the app's by now, which are not ours to freeze.
      if (!this.#given?.has(key)) freeze(own(this.#fields, key), !this.#changed?.has(key))
    }
  }

  /** Inherited names are no data: `data.__proto__` and `data.constructor` lead nowhere. */
  #read(key: string): unknown {
    const value = own(this.#fields, key)
    if (typeof value !== 'object' || value === null) return value
    if (!this.#committed && !this.#lent?.has(key)) this.#owner.touch()
    if (this.#committed) return this.#show(key, value)
    if (this.#lent?.has(key)) return value
    const taken = this.#take(key)
    this.#lent ??= new Map()
    this.#lent.set(key, JSON.stringify(taken))
    return taken
  }

  /** The value of a key for somebody who may change it inside: this request's own copy. */
  #take(key: string): unknown {
    if (this.#lent?.has(key) || this.#changed?.has(key)) return own(this.#fields, key)
    const value = own(this.#fields, key)
    const copy = this.#copied(this.#fields, key)
    if (copy !== value) define(this.#fields, key, copy)
    return copy
  }

  /** The value of a key after the commit, frozen: a copy, where it is or holds what belongs to others. */
  #show(key: string, value: unknown): unknown {
    const ours = this.#shown?.has(key) || (this.#lent?.has(key) && !this.#changed?.has(key))
    // What has no text was refused by the commit, and cannot be copied.
    if (ours || textOf(value) === undefined) return value
    const copy = freeze(this.#copy(value), true)
    define(this.#fields, key, copy)
    this.#shown ??= new Set()
    this.#shown.add(key)
    return copy
  }

  #copied(fields: Fields, key: string): unknown {
    const value = own(fields, key)
    return typeof value === 'object' && value !== null ? this.#copy(value) : value
  }

  #give(key: string, value: unknown): void {
    define(this.#fields, key, value)
    if (typeof value !== 'object' || value === null) return
    this.#given ??= new Set()
    this.#given.add(key)
  }

  #begin(key: string): void {
    if (!this.#committed) this.#owner.touch()
    // The touch may have found that the headers have left.
    if (this.#committed) throw new SessionCommittedError(`a change of ${fieldOf(this.#name, key)}`)
  }

  #noteMutation(key: string): void {
    const before = this.#lent?.get(key)
    if (before !== undefined && before !== textOf(own(this.#fields, key))) this.#note(key, null)
  }

  #note(key: string, updates: Update[] | null): void {
    this.#changed ??= new Map()
    this.#changed.set(key, updates)
  }
}

function own(fields: Fields, key: string): unknown {
  return Object.hasOwn(fields, key) ? fields[key] : undefined
}

/** `undefined` for what has no text, such as a cycle: it counts as changed, and `replay` refuses it by name. */
function textOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

/** Defines rather than assigns, so that `__proto__` becomes an ordinary key of this object alone. */
function define(fields: Fields, key: string, value: unknown): void {
  Object.defineProperty(fields, key, { value, writable: true, enumerable: true, configurable: true })
}

/** In a loop, and past what is no data: what the commit is about to refuse must not fail here. */
function freeze(value: unknown, deep: boolean): unknown {
  const found = [value]
  for (const part of found) {
    if (!isPlain(part) || Object.isFrozen(part)) continue
    Object.freeze(part)
    if (deep) for (const inner of Object.values(part)) found.push(inner)
  }
  return value
}
