/**
 * What a new password must be (N-20, ASVS 6.2). Length and not being guessable count; composition does not. The rules hold
 * where a password is set and never where one is checked, so that stricter rules lock nobody out.
 */
import { isCommon } from './common-passwords.js'
import type { Refused } from './services.js'

/** At most so many code points are accepted, and all of them are verified. */
export const MAX_CODE_POINTS = 256
/** At most so many bytes of UTF-8 are hashed: a megabyte of password is an attack, not a password. */
export const MAX_BYTES = 1024

const SERVICE = 'sojourn'
const SHORTEST_UNIT = 5
const ROWS = ['abcdefghijklmnopqrstuvwxyz', '1234567890', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm']

/** The one change made to a password before it is hashed: composed and decomposed accents are the same key strokes. */
export function normalised(password: string): string {
  return password.normalize('NFC')
}

/** Whether it can be hashed, all of it and exactly: text of no more than the sizes above, without broken characters. */
export function isHashable(password: string): boolean {
  // The cheap test first: normalising a long string costs more than refusing it.
  if (password.length > MAX_BYTES) return false
  const text = normalised(password)
  // Half of a surrogate pair has no UTF-8, so that all such halves would be hashed as the same replacement character.
  return Buffer.byteLength(text) <= MAX_BYTES && [...text].length <= MAX_CODE_POINTS && !/\p{Surrogate}/u.test(text)
}

/** Why this cannot become the user's password, or `undefined` when it can. `min` counts code points. */
export function checkPassword(password: string, username: string, min: number): Refused<'password'> | undefined {
  const refuse = (message: string): Refused<'password'> => ({ ok: false, reason: 'password', message })
  if (!isHashable(password))
    return refuse(`A password is text of at most ${MAX_CODE_POINTS} characters (${MAX_BYTES} bytes).`)
  const text = normalised(password)
  if ([...text].length < min) return refuse(`A password has at least ${min} characters. A few words in a row do well.`)

  const unit = repeatedUnit(text.toLowerCase())
  if ([...unit].length < SHORTEST_UNIT) return refuse('A password that repeats a few characters is easily guessed.')
  if (isSequence(unit)) return refuse('A password that is a plain sequence is easily guessed.')
  if (isCommon(text) || isCommon(unit)) return refuse('This password is on the list of those that attackers try first.')
  if (isContextual(text, username))
    return refuse('A password made of your username or the name of this service is easily guessed.')
  return undefined
}

/** `abcabcab` is `abc` typed again and again, and as easily guessed: the part that the text repeats, or all of it. */
function repeatedUnit(text: string): string {
  for (let period = 1; period <= text.length / 2; period++) {
    if (text.startsWith(text.slice(period))) return text.slice(0, period)
  }
  return text
}

/** One walk along the alphabet, the digits or a row of the keyboard, in either direction, round the end included. */
function isSequence(text: string): boolean {
  return ROWS.some((row) => {
    const walk = row.repeat(Math.ceil(text.length / row.length) + 1)
    return walk.includes(text) || [...walk].reverse().join('').includes(text)
  })
}

/** Whether nothing but digits and punctuation remains beside the username and the service's name. */
function isContextual(password: string, username: string): boolean {
  const text = password.toLowerCase()
  const rest = [username.normalize('NFC').toLowerCase(), SERVICE].reduce(
    (left, word) => left.replaceAll(word, ''),
    text,
  )
  return rest !== text && !/\p{L}/u.test(rest)
}
