/** A disk that is full for a while, under the stores that keep their own files, while visitors are at work. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { UserStore } from 'sojourn'
import { file } from 'sojourn/store/file'
import { sqlite } from 'sojourn/store/sqlite'
import { afterAll, expect, onTestFinished, type TestContext, test } from 'vitest'
import { line, underLoad } from './fixtures/fault-load.js'
import { expectKept } from './fixtures/fault-troubles.js'

const lines: string[] = []
afterAll(() => console.log(lines.join('\n')))

/** A disk of 32 MB: the journal of SQLite alone grows to 4. */
function smallDisk(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-disk-'))
  const mounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=32m,nr_inodes=20k', 'sojourn-test', folder]).status === 0
  onTestFinished(() => {
    if (mounted) spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  // Not a failure in CI either: nothing but root's rights is missing there.
  if (!mounted) context.skip('a small disk takes the right to mount one')
  return folder
}

const STORES: Record<string, (disk: string) => UserStore> = {
  SQLite: (disk) => sqlite(join(disk, 'sessions.db'), { durability: 'full' }),
  'the file store': (disk) => file(join(disk, 'sessions'), { durability: 'full' }),
}

for (const [name, open] of Object.entries(STORES))
  test(`A-80, A-81: the disk is full for a second: ${name}`, { timeout: 60_000 }, async (context) => {
    const disk = smallDisk(context)
    const both = [open(disk), open(disk)]
    onTestFinished(() => both.forEach((store) => void store.close?.()))
    const report = await underLoad(both, {
      begin: () => {
        // In pieces that become smaller, until not a byte is left.
        for (let size = 1 << 23, n = 0; size > 0; n++)
          try {
            writeFileSync(join(disk, `ballast-${n}`), Buffer.alloc(size))
          } catch {
            size >>= 1
          }
      },
      lasts: 1_000,
      end: () => spawnSync('sh', ['-c', 'rm ballast-*'], { cwd: disk }),
    })
    lines.push(line(name, 'the disk is full for 1 s', report))
    expectKept(report)
    expect(report.unavailable).toBeGreaterThan(0)
  })
