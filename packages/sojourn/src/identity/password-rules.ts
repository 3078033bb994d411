/**
 * What a new password must be (NIST SP 800-63B-4 3.1.1.2, ASVS 6.2). Length and not being guessable count; composition
 * does not. The rules hold where a password is set and never where one is checked, so that stricter rules lock nobody
 * out.
 */
import { then } from '../awaitable.js'
import type { Awaitable } from '../types.js'

/** At most so many code points are accepted, and all of them are verified. */
export const MAX_CODE_POINTS = 256
/** At most so many bytes of UTF-8 are hashed: a megabyte of password is an attack, not a password. */
export const MAX_BYTES = 1024

/**
 * Why a text cannot become a password.
 *
 * - `unhashable`: longer than `MAX_CODE_POINTS` or `MAX_BYTES`, or with broken characters
 * - `short`: fewer code points than `min`
 * - `repeated`: a few characters again and again
 * - `sequence`: nothing but walks along the alphabet, the digits or the keyboard, one after the other
 * - `common`: among those that attackers try first, also with digits and punctuation around it, or again and again
 * - `context`: nothing but the user's name, the service's, digits and punctuation
 */
export type Weakness = 'unhashable' | 'short' | 'repeated' | 'sequence' | 'common' | 'context'

/** The rules for one new password. */
export interface PasswordRules<Common extends Awaitable<boolean> = Awaitable<boolean>> {
  /** Code points. Default 15, for a password that is the only factor; 8 is enough for one of several. Below 8: `TypeError`. */
  min?: number
  /** The user's name and address, the service's name: what a password must be more than. Empty ones do not count. */
  context?: readonly string[]
  /**
   * Whether a text is on a list of leaked or common passwords. Asked with the password as it is; and then, in lower case,
   * with what is left without digits and punctuation at both ends, and with the part that is repeated: up to six times.
   */
  isCommon?: (password: string) => Common
}

const LEAST = 8
const ALONE = 15
const SHORTEST_UNIT = 5
const SHORTEST_WALK = 3
const ROWS = ['abcdefghijklmnopqrstuvwxyz', '1234567890']
const KEYBOARD = ['1234567890', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm']
const PLACES = new Map(KEYBOARD.flatMap((keys, row) => [...keys].map((key, column) => [key, { row, column }] as const)))
/** The digits' keys, with Shift. */
const SHIFTED = '!@#$%^&*()'

/** The one change made to a password before it is hashed: composed and decomposed accents are the same key strokes. */
export function normalised(password: string): string {
  return password.normalize('NFC')
}

/** Whether it can be hashed, all of it and exactly: text of no more than the sizes above, without broken characters. */
export function isHashable(password: unknown): password is string {
  // The cheap test first: normalising a long string costs more than refusing it.
  if (typeof password !== 'string' || password.length > MAX_BYTES) return false
  const text = normalised(password)
  // Half of a surrogate pair has no UTF-8, so that all such halves would be hashed as the same replacement character.
  return Buffer.byteLength(text) <= MAX_BYTES && [...text].length <= MAX_CODE_POINTS && !/\p{Surrogate}/u.test(text)
}

/** Why this cannot become a user's password, or `undefined` when it can. A promise only where `isCommon` gives one. */
export function checkPassword(password: string, rules?: PasswordRules<boolean>): Weakness | undefined
/** The same with a list that must be waited for. */
export function checkPassword(password: string, rules: PasswordRules): Awaitable<Weakness | undefined>
export function checkPassword(
  password: string,
  { min = ALONE, context = [], isCommon = () => false }: PasswordRules = {},
): Awaitable<Weakness | undefined> {
  if (!(Number.isInteger(min) && min >= LEAST))
    throw new TypeError(
      `checkPassword: \`min\` is a whole number of at least ${LEAST}; ${ALONE} where nothing else is asked`,
    )
  if (!isHashable(password)) return 'unhashable'
  const text = normalised(password)
  if ([...text].length < min) return 'short'
  const typed = text.toLowerCase()
  for (const part of [typed, coreOf(typed)]) {
    // What is left of a number with a few letters in it says nothing.
    if ([...part].length < SHORTEST_UNIT) continue
    const unit = repeatedUnit(part)
    if ([...unit].length < SHORTEST_UNIT) return 'repeated'
    if (isWalked(unit)) return 'sequence'
  }
  return then(isAnyCommon([...new Set([text, ...partsOf(typed)])], isCommon), (common) => {
    if (common) return 'common'
    return isContextual(text, context) ? 'context' : undefined
  })
}

/** What somebody may have started from: a guesser does the same, and tries it after a few more guesses. */
function partsOf(text: string): string[] {
  const [unit, core] = [repeatedUnit(text), coreOf(text)]
  return [text, unit, core, repeatedUnit(core), coreOf(unit)].filter((part) => part !== '')
}

function isAnyCommon(
  [part, ...others]: string[],
  isCommon: NonNullable<PasswordRules['isCommon']>,
): Awaitable<boolean> {
  return part === undefined ? false : then(isCommon(part), (common) => common || isAnyCommon(others, isCommon))
}

/** Without the digits and the punctuation at both ends. */
function coreOf(text: string): string {
  return text.replace(/^[\p{N}\p{P}\p{S}\s]+/u, '').replace(/[\p{N}\p{P}\p{S}\s]+$/u, '')
}

/** `abcabcab` is `abc` typed again and again, and as easily guessed: the part that the text repeats, or all of it. */
function repeatedUnit(text: string): string {
  for (let period = 1; period <= text.length / 2; period++) {
    if (text.startsWith(text.slice(period))) return text.slice(0, period)
  }
  return text
}

/** Whether it falls into walks of three keys or more, each along the alphabet or the digits, or from key to key. */
function isWalked(text: string): boolean {
  const keys = [...text].map((key) => KEYBOARD[0]![SHIFTED.indexOf(key)] ?? key)
  const ends = new Set([0])
  for (let start = 0; start < keys.length; start++) {
    if (!ends.has(start)) continue
    // A part of a walk is a walk: twice the shortest is two of them.
    const last = Math.min(keys.length, start + 2 * SHORTEST_WALK - 1)
    for (const leads of [isNext, isBefore, isNeighbour]) {
      for (let end = start + 1; end < last && leads(keys[end - 1]!, keys[end]!); ) {
        if (++end - start >= SHORTEST_WALK) ends.add(end)
      }
    }
  }
  return ends.has(keys.length)
}

/** Round the end included. */
function isNext(key: string, next: string): boolean {
  return ROWS.some((row) => row.includes(key) && row[(row.indexOf(key) + 1) % row.length] === next)
}

function isBefore(key: string, next: string): boolean {
  return isNext(next, key)
}

/** Whether two keys touch, or are the same: each row is half a key to the right of the one above it. */
function isNeighbour(one: string, other: string): boolean {
  const [from, to] = [PLACES.get(one), PLACES.get(other)]
  if (!from || !to) return false
  const [down, right] = [to.row - from.row, to.column - from.column]
  return down === 0 ? Math.abs(right) <= 1 : Math.abs(down) === 1 && (right === 0 || right === -down)
}

/** Whether nothing but digits and punctuation remains beside the words. */
function isContextual(password: string, words: readonly string[]): boolean {
  const text = password.toLowerCase()
  const rest = words.reduce((left, word) => left.replaceAll(normalised(word).toLowerCase(), ''), text)
  return rest !== text && !/\p{L}/u.test(rest)
}
