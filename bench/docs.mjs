/** Pages of which parts are written by the programs that measure. */
import { readFileSync, writeFileSync } from 'node:fs'

/** Puts the text between `<!-- name:begin -->` and `<!-- name:end -->`. Throws when the page has lost these marks. */
export function writeDocs(name, text, of = 'benchmarks.md') {
  const page = new URL(`../docs/${of}`, import.meta.url)
  const was = readFileSync(page, 'utf8')
  const marked = new RegExp(`(<!-- ${name}:begin -->\n)[\\s\\S]*(<!-- ${name}:end -->)`)
  if (!marked.test(was)) throw new Error(`docs/${of} has lost the marks of ${name}`)
  writeFileSync(
    page,
    was.replace(marked, (_, begin, end) => `${begin}\n${text}\n\n${end}`),
  )
}
