/** Idle and absolute timeouts: the presets, and what may be configured. */
import type { Timeouts } from './types.js'

/** The presets by NIST SP 800-63B-4 assurance level; `N-15`, `N-16`. */
export type TimeoutPreset = 'aal1' | 'aal2' | 'aal3'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** The longest that any session lasts: what browsers keep a cookie for. */
const LONGEST = 400 * DAY

const PRESETS: Record<TimeoutPreset, Timeouts> = {
  aal1: { idle: 7 * DAY, absolute: 30 * DAY },
  aal2: { idle: HOUR, absolute: 24 * HOUR },
  aal3: { idle: 15 * MINUTE, absolute: 12 * HOUR },
}

/** Half an hour idle, half a day absolute: inside what AAL2 asks. */
export const DEFAULT_TIMEOUTS: Timeouts = { idle: 30 * MINUTE, absolute: 12 * HOUR }

/** "Remember me": inside what AAL1 asks. */
export const DEFAULT_REMEMBER: Timeouts = { idle: 14 * DAY, absolute: 30 * DAY }

/** The timeouts of an option. Throws a `TypeError` for what would end at once, or never. */
export function resolveTimeouts(option: string, value: Timeouts | TimeoutPreset): Timeouts {
  if (typeof value === 'string') {
    // Asked of the table alone: the times of an inherited name would be none, and end nothing.
    if (!Object.hasOwn(PRESETS, value))
      throw new TypeError(`${option}: there is no preset "${value}"; use "aal1", "aal2", "aal3" or { idle, absolute }`)
    return PRESETS[value]
  }
  const { idle, absolute } = value
  for (const [name, ms] of Object.entries({ idle, absolute })) {
    if (!Number.isFinite(ms) || ms < 1000 || ms > LONGEST) {
      throw new TypeError(
        `${option}: \`${name}\` must be milliseconds between 1000 and ${LONGEST} (400 days); both timeouts always hold`,
      )
    }
  }
  if (idle > absolute)
    throw new TypeError(
      `${option}: \`idle\` is longer than \`absolute\` and would never end anything; swap or shorten it`,
    )
  return { idle, absolute }
}
