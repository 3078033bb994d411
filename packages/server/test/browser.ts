/** A real browser for tests: headless Chromium, without JavaScript, with what it complains about kept. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, onTestFinished } from 'vitest'
import { find } from '../../../scripts/programs.mjs'

/** A tab of a visitor with cookies of its own. */
export interface Tab {
  page: Page
  /** What the browser's console said: violations of the content policy among it. */
  complaints: string[]
}

/** Opens a tab in a context of its own, for one test; what it shows is kept as a picture if the test fails. */
export type OpenTab = (url: string, options?: BrowserContextOptions) => Promise<Tab>

/**
 * A browser for all tests of the `describe` that calls this. Without a Chromium (`CHROMIUM_PATH`, or where systems
 * put it) they are skipped; in CI they fail, because nobody would notice.
 */
export function useBrowser(): OpenTab {
  let browser: Browser | undefined
  beforeAll(async () => {
    const executablePath = find('chromium')
    if (executablePath) browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  })
  afterAll(() => browser?.close())
  beforeEach((context) => {
    if (browser) return
    const message = 'no Chromium was found; set CHROMIUM_PATH'
    if (process.env.CI) throw new Error(message)
    console.log(`SKIPPED: ${message}`)
    context.skip(message)
  })

  return async (url, options = {}) => {
    const context = await browser!.newContext({ baseURL: url, javaScriptEnabled: false, ...options })
    // Some machines that test are busy.
    context.setDefaultTimeout(15_000)
    // What a page asks of other sites (a provider's, its fonts) is not waited for: a name may take long to be looked up.
    await context.route(
      ({ hostname }) => !/^(?:|127\.0\.0\.1|\[::1\]|(?:.*\.)?localhost)$/.test(hostname),
      (route) => route.abort(),
    )
    const page = await context.newPage()
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    onTestFinished(async ({ task }) => {
      if (task.result?.state === 'fail') {
        const path = join(tmpdir(), `sojourn-${task.id}-${Date.now()}.png`)
        await page.screenshot({ path, fullPage: true }).then(
          () => console.log(`What the tab showed at ${page.url()}: ${path}`),
          () => {},
        )
      }
      await context.close()
    })
    return { page, complaints }
  }
}
