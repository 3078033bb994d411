/**
 * What was worked out lately of a text, so that its next sight costs a look-up and not a MAC, a cipher or a parser.
 * Bounded by the size of the texts: two generations of which the older is dropped whole, so that nothing is ever scanned.
 *
 * What comes but once is not kept: a text is only noted at its first sight, in a number, and remembered at its second. To
 * keep what never comes back would cost more than to verify it, in work for the garbage collector.
 *
 * A credential is looked up by a number that a few of its characters make, and then compared in full. Whoever finds two
 * with one number makes one of them forgotten early, and no more. What may be alike in many texts but for a letter is looked
 * up by a name that its user gives, and compared in full as well.
 */

/** Characters that one generation remembers. */
const GENERATION = 2_000_000
/** Places for texts that were seen once, two for each. A power of two. */
const NOTED = 8192
/** The last characters make the number of a credential: they are of its signature, or of what seals it. */
const TAIL = 8
/** Characters that tell texts apart that may be alike but for a letter; of longer ones, so many are looked at. */
const MANY = 1024

interface Entry<T> {
  readonly text: string
  readonly value: T
  readonly size: number
}

/** Remembers a value for each text that came more than once, for as long as it is in use. */
export class Recent<T> {
  #young = new Map<string | number, Entry<T>>()
  #old = new Map<string | number, Entry<T>>()
  #size = 0
  readonly #noted = new Int32Array(NOTED)

  /** The value of `text`, by the name that it was set under. */
  get(text: string, name: string | number = markOfTail(text)): T | undefined {
    const found = this.#young.get(name)
    if (found !== undefined && found.text === text) return found.value
    const aging = this.#old.get(name)
    if (aging === undefined || aging.text !== text) return undefined
    this.#keep(name, aging)
    return aging.value
  }

  /** One name has one text, the latest. `size`: what counts as its size, where that is not the text. */
  set(text: string, value: T, name?: string, size: number = text.length): void {
    const mark = name === undefined ? markOfTail(text) : markOf(text, 0, Math.ceil(text.length / MANY))
    if (this.#wasNoted(mark)) this.#keep(name ?? mark, { text, value, size })
    else this.#note(mark)
  }

  /** Whether it was noted. It is no more: what is remembered leaves its place to others. */
  #wasNoted(mark: number): boolean {
    for (const place of [firstPlace(mark), secondPlace(mark)]) {
      if (this.#noted[place] !== mark) continue
      this.#noted[place] = 0
      return true
    }
    return false
  }

  /** Whoever stood there goes to his other place: two that come in turn do not push each other out. */
  #note(mark: number): void {
    const place = firstPlace(mark)
    const before = this.#noted[place]!
    this.#noted[place] = mark
    if (before !== 0) this.#noted[firstPlace(before) === place ? secondPlace(before) : firstPlace(before)] = before
  }

  #keep(name: string | number, entry: Entry<T>): void {
    if (this.#size + entry.size > GENERATION) {
      this.#old = this.#young
      this.#young = new Map()
      this.#size = 0
    }
    this.#size += entry.size
    this.#young.set(name, entry)
  }
}

const firstPlace = (mark: number): number => mark & (NOTED - 1)
const secondPlace = (mark: number): number => (mark >>> 16) & (NOTED - 1)

const markOfTail = (text: string): number => markOf(text, Math.max(text.length - TAIL, 0), 1)

function markOf(text: string, from: number, step: number): number {
  let mark = text.length
  for (let at = from; at < text.length; at += step) mark = (Math.imul(mark, 31) + text.charCodeAt(at)) | 0
  // Multiplied once more, so that the low bits, which choose the place, depend on all of it.
  return Math.imul(mark ^ (mark >>> 15), 0x2c1b3c6d)
}
