/**
 * A value too long for one cookie, over several: `name` holds `<count>~<first part>`, `name.1` and so on the rest. Read
 * all or nothing; whether the parts belong together is for the seal over the whole to say.
 */
import { readCookies } from './cookies.js'

/** Three cookies of 4,096 bytes leave room in the 16 KB that servers, node among them, read of all headers. */
export const MOST_CHUNKS = 3

/** The value in pieces of at most `size` characters, the first of which says how many there are. */
export function split(value: string, size: number): string[] {
  if (value.length <= size) return [value]
  const first = size - 2
  const parts = [value.slice(0, first)]
  for (let at = first; at < value.length; at += size) parts.push(value.slice(at, at + size))
  return [`${parts.length}~${parts[0]}`, ...parts.slice(1)]
}

/** The value that `first` is the beginning of; `first` itself, which opens nothing, when a part is missing or doubled. */
export function join(first: string, header: string | undefined, name: string): string {
  if (first[1] !== '~') return first
  const count = Number(first[0])
  if (!(count >= 2 && count <= MOST_CHUNKS)) return first
  let value = first.slice(2)
  for (let part = 1; part < count; part++) {
    const found = readCookies(header, `${name}.${part}`)
    if (typeof found !== 'string' || found === '') return first
    value += found
  }
  return value
}
