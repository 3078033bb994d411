/** The username of somebody who comes by a provider for the first time: like the name there where that can be one here. */
import { randomInt } from 'node:crypto'
import type { Profile } from 'sojourn/identity/oauth'
import { checkUsername } from '../accounts.js'

/** Leaves room for what makes it unique. */
const LONGEST = 40
const LONGEST_LABEL = 100

/**
 * Names to try, the first of which is free where nobody else has it. Of the user's name at the provider, never of an e-mail
 * address: what stands before an "@" is all that is taken where that name is one. A name says nothing about whose an account is.
 */
export function* proposals({ login, name }: Profile): Generator<string, never> {
  const wanted = [login, name].map(usable).find((text) => text !== undefined)
  if (wanted !== undefined) yield wanted
  for (;;) yield `${wanted ?? 'guest'}-${randomInt(10_000, 1_000_000)}`
}

/** What to call somebody's account at a provider on a page: untrusted text, on one line and not too long. */
export function labelOf({ login, name }: Profile, sub: string): string {
  const text = [login, name, sub].find((one) => one !== undefined && one.trim() !== '') ?? sub
  return [...text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')].slice(0, LONGEST_LABEL).join('')
}

function usable(text: string | undefined): string | undefined {
  const plain = text
    ?.slice(0, 4 * LONGEST)
    .normalize('NFKC')
    .replace(/@.*$/s, '')
    .trim()
    .replace(/\s+/g, '-')
    .replace(/[^\p{L}\p{M}\p{N}._-]/gu, '')
  const short = [...(plain ?? '')].slice(0, LONGEST).join('')
  return checkUsername(short) === undefined ? short : undefined
}
