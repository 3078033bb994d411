/**
 * Text as engines keep it unharmed: some end it at a NUL, none keeps half a surrogate pair, and two users would become
 * one. What JSON makes has neither, and is kept as it is.
 */

/** Begins what stands for a letter. A control character, so that it is escaped as well. */
export const ESCAPE: string = '\u001b'
const ESCAPED = new RegExp(`${ESCAPE}([0-9a-f]{4})`, 'g')
const HARMFUL = /[\p{Cc}\p{Surrogate}]/gu

/** `text` without control characters and halves of surrogate pairs. Two texts never become one. */
export function escaped(text: string, harmful: RegExp = HARMFUL): string {
  return text.replace(harmful, (c) => ESCAPE + c.charCodeAt(0).toString(16).padStart(4, '0'))
}

/** What was `escaped`. */
export function unescaped(text: string): string {
  if (!text.includes(ESCAPE)) return text
  return text.replace(ESCAPED, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
}
