/**
 * How a user proved who they are: the methods (`amr`, RFC 8176) and the level that they came to (`acr`, RFC 9068). Said
 * by a login and by nothing else, and kept beside the data, where no key of the app's can be taken for it.
 */
import type { Proof } from './types.js'

const MOST_METHODS = 16
/** What a space-separated parameter of a challenge can carry without quoting. */
const WORD = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/

/** A proof as a login states it; `undefined` for one that says nothing. Throws a `TypeError` for what is none. */
export function statedProof(where: string, { amr, acr }: Proof): Proof | undefined {
  if (amr !== undefined && !isMethods(amr))
    throw new TypeError(
      `${where}: \`amr\` is a list of at most ${MOST_METHODS} methods, each a word of visible ASCII such as "pwd"`,
    )
  if (acr !== undefined && !isWord(acr))
    throw new TypeError(`${where}: \`acr\` is a word of visible ASCII, such as "urn:example:aal2"`)
  return proofOf({ amr, acr })
}

/** A proof as it was kept or signed; `undefined` where there is none. What is not one proves nothing. */
export function proofOf(value: unknown): Proof | undefined {
  const { amr, acr } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  const methods = isMethods(amr) && amr.length > 0 ? { amr: Object.freeze([...amr]) } : undefined
  const level = isWord(acr) ? { acr } : undefined
  // Frozen: what was parsed is shared by all requests that carry the same text.
  return methods || level ? Object.freeze({ ...methods, ...level }) : undefined
}

/** Whether a text can be a method or a level. */
export function isWord(value: unknown): value is string {
  return typeof value === 'string' && WORD.test(value)
}

function isMethods(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= MOST_METHODS && value.every(isWord)
}
