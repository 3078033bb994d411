/**
 * A browser's `User-Agent` in words, for the list of devices. A guess for people, never a fact to decide by:
 * the header says what its sender likes.
 */

/** What a device is called, and which picture it gets. */
export interface DeviceName {
  readonly name: string
  readonly kind: 'computer' | 'phone' | 'program' | 'unknown'
}

// In order: nearly every browser also claims to be Chrome or Safari, so those two come last.
const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bEdg(?:A|iOS)?\//, 'Edge'],
  [/\b(?:OPR|OPT|Opera)\//, 'Opera'],
  [/\bVivaldi\//, 'Vivaldi'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\bDuckDuckGo\/|\bDdg\//, 'DuckDuckGo'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Chrome|CriOS|HeadlessChrome)\//, 'Chrome'],
  [/\bVersion\/.*\bSafari\//, 'Safari'],
]

const SYSTEMS: readonly (readonly [RegExp, string, DeviceName['kind']])[] = [
  [/\biPhone\b/, 'iPhone', 'phone'],
  [/\biPad\b/, 'iPad', 'phone'],
  [/\bAndroid\b/, 'Android', 'phone'],
  [/\bWindows\b/, 'Windows', 'computer'],
  [/\bCrOS\b/, 'ChromeOS', 'computer'],
  [/\bMacintosh\b/, 'Mac', 'computer'],
  [/\bLinux\b|\bX11\b/, 'Linux', 'computer'],
]

/** `Firefox on Windows`, `Safari on iPhone`, `curl`, `Unknown device`. */
export function deviceName(userAgent: string | undefined): DeviceName {
  if (!userAgent) return { name: 'Unknown device', kind: 'unknown' }
  const browser = BROWSERS.find(([pattern]) => pattern.test(userAgent))?.[1]
  const system = SYSTEMS.find(([pattern]) => pattern.test(userAgent))
  if (browser && system) return { name: `${browser} on ${system[1]}`, kind: system[2] }
  if (browser || system) return { name: browser ?? `Browser on ${system?.[1]}`, kind: system?.[2] ?? 'computer' }
  // Programs name themselves first: `curl/8.5.0`.
  const program = /^([A-Za-z][\w.-]{0,30})(?:\/|$)/.exec(userAgent)?.[1]
  return program && program !== 'Mozilla'
    ? { name: program, kind: 'program' }
    : { name: 'Unknown device', kind: 'unknown' }
}
