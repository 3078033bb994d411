/** The mark: an open doorway, and the sun low behind it. */
import type { JSX } from 'hono/jsx/jsx-runtime'

const DOOR = 'M4.5 21V10.5a7.5 7.5 0 0 1 15 0V21'
const GROUND = 'M1.5 21h21'
const SUN = 'M7 21a5 5 0 0 1 10 0z'

/** The mark alone; decoration, since the word stands beside it. */
export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
      <path d={SUN} class="mark-sun" />
      <path d={DOOR + GROUND} fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" />
    </svg>
  )
}

/** The mark and the word, as a link to the front page. */
export function Wordmark(): JSX.Element {
  return (
    <a class="wordmark" href="/">
      <Mark />
      Sojourn
    </a>
  )
}

/** The mark for the browser's tab, on a ground of its own because a tab may be light or dark. */
export const FAVICON: string = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#1c5f4b"/>
<g transform="translate(4 3.5)">
<path d="${SUN}" fill="#f2c14e"/>
<path d="${DOOR}${GROUND}" fill="none" stroke="#fff" stroke-width="2.2" stroke-linecap="round"/>
</g>
</svg>
`
