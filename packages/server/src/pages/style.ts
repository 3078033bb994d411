/** The stylesheet, served under a name that changes with its content, so that browsers may keep it for good. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

// The compiler copies no stylesheets; the package ships its sources, and this path leads there from `src` and `dist`.
const folder = new URL('../../src/pages/style/', import.meta.url)

/** The stylesheet's text: several files to read, one to serve. */
export const STYLE: string = ['base', 'frame', 'pieces', 'places']
  .map((name) => readFileSync(new URL(`${name}.css`, folder), 'utf8'))
  .join('\n')

/** Where it is served: `/style.<hash>.css`. */
export const STYLE_PATH: string = `/style.${createHash('sha256').update(STYLE).digest('hex').slice(0, 12)}.css`
