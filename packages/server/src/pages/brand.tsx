/** The mark: an open door with the sun low behind it. Drawn with the text's own colour, so that it suits both themes. */
import type { JSX } from 'hono/jsx/jsx-runtime'

const DOOR = 'M5 22V11a7 7 0 0 1 14 0v11'

/** The mark alone; decoration, since the word stands beside it. */
export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
      <circle cx="12" cy="15" r="3.4" class="mark-sun" />
      <path d={`${DOOR}M2 22h20`} fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" />
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
<circle cx="16" cy="18.5" r="3.6" fill="#f2c14e"/>
<path transform="translate(4 3)" d="${DOOR}M2 22h20" fill="none" stroke="#fff" stroke-width="2.2" stroke-linecap="round"/>
</svg>
`
