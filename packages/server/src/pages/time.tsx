/** A point in time, for people and for machines. */
import type { JSX } from 'hono/jsx/jsx-runtime'
import { distance, moment } from './format.js'

/** `5 minutes ago`, with the exact time in the attribute and on hover. */
export function Ago({ at, now }: { at: number; now: number }): JSX.Element {
  return (
    <time datetime={new Date(at).toISOString()} title={moment(at)}>
      {distance(at, now)}
    </time>
  )
}

/** `21 November 2026, 14:05 UTC`. */
export function Moment({ at }: { at: number }): JSX.Element {
  return <time datetime={new Date(at).toISOString()}>{moment(at)}</time>
}
