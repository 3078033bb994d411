/** Prices and times as people read them. The pages are in English, and so are these. */
import type { Price } from '../services.js'

/** `€24.00`. */
export function price({ cents, currency }: Price): string {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency })
  return format.format(cents / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2))
}

/** `1 item`, `2 items`. */
export function count(n: number, one: string, many: string = `${one}s`): string {
  return `${new Intl.NumberFormat('en').format(n)} ${n === 1 ? one : many}`
}

const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone: 'UTC' })

/** `21 November 2026, 14:05 UTC`. The server does not know the visitor's time zone, so it names its own. */
export function moment(at: number): string {
  return `${date.format(at)}, ${clock.format(at)} UTC`
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

const UNITS = [
  [86_400_000, 'day'],
  [3_600_000, 'hour'],
  [60_000, 'minute'],
] as const

/** How far `at` is from `now`, in words: `just now`, `5 minutes ago`, `in 12 hours`; further than a month, the date. */
export function distance(at: number, now: number): string {
  const away = at - now
  if (Math.abs(away) < 60_000) return 'just now'
  if (Math.abs(away) > 30 * 86_400_000) return `${away > 0 ? 'on ' : ''}${date.format(at)}`
  const [length, unit] = UNITS.find(([length]) => Math.abs(away) >= length) ?? UNITS[2]
  return relative.format(Math.trunc(away / length), unit)
}
