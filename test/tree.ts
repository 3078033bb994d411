/** The repository's own files, as the house rules look at them: by line and by import, with no compiler. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the workspace. */
export const root: string = dirname(dirname(fileURLToPath(import.meta.url)))

/** What no commit contains, and the lockfile, which nobody writes by hand. */
const PASSED_OVER = ['node_modules', 'dist', 'data', 'coverage', '.git', 'package-lock.json']

/** Every file below a folder, as a path from the workspace with forward slashes. Empty when there is no such folder. */
export function files(folder: string, endsIn: RegExp = /(?:)/): string[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => !PASSED_OVER.includes(entry.name))
    .flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) return files(path, endsIn)
      return endsIn.test(entry.name) ? [path] : []
    })
}

export const read = (file: string): string => readFileSync(join(root, file), 'utf8')

export const json = (file: string): Record<string, unknown> => JSON.parse(read(file))

export interface Line {
  readonly number: number
  readonly text: string
  readonly comment: boolean
}

/** The lines of a file that are not blank; the end of a line after ` // ` is cut off. */
export function lines(file: string): Line[] {
  return read(file)
    .split('\n')
    .map((text, index) => ({
      number: index + 1,
      text: text.replace(/ \/\/ .*$/, ''),
      comment: /^\s*(\/\/|\/\*|\*( |\/|$))/.test(text),
    }))
    .filter(({ text }) => text.trim() !== '')
}

/** Where a pattern stands in code (not in comments), as `file:line: text`. */
export function hits(pattern: RegExp, inFiles: readonly string[]): string[] {
  return inFiles.flatMap((file) =>
    lines(file)
      .filter((line) => !line.comment && pattern.test(line.text))
      .map((line) => `${file}:${line.number}: ${line.text.trim()}`),
  )
}

/** What a file imports: `from '…'`, `import '…'`, `import('…')`, `require('…')`, as written. */
export function imports(file: string): string[] {
  const code = lines(file)
    .filter(({ comment }) => !comment)
    .map(({ text }) => text)
    .join('\n')
  const found = code.matchAll(/(?:\bfrom\s+|\bimport\s+|\b(?:import|require)\(\s*)(['"])([^'"\n]+)\1/g)
  return [...found].map((match) => match[2]!)
}

/** The file that a relative import means, as a path from the workspace; other imports stay as they are. */
export function target(file: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier
  return relative(root, join(root, dirname(file), specifier))
    .split(sep)
    .join('/')
    .replace(/\.js$/, '')
}

/** The package that an import names: `hono` of `hono/jsx`, `@hono/node-server` of itself; `undefined` for Node's own. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}
