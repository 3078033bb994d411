/** Every adapter, in every framework that it says it fits, passes the published suite over real sockets. */
import { adapterCases } from 'sojourn/testing/adapter'
import { describe, test } from 'vitest'
import { expressHarness, fetchHarness, honoHarness, http2Harness, nodeHarness } from './fixtures/servers.js'

describe.each([
  ['node', nodeHarness],
  ['node over HTTP/2', http2Harness],
  ['express 5', expressHarness(5)],
  ['express 4', expressHarness(4)],
  ['express 5, compression before it', expressHarness(5, 'before')],
  ['express 4, compression after it', expressHarness(4, 'after')],
  ['fetch', fetchHarness],
  ['fetch around Hono', honoHarness],
])('%s', (label, harness) => {
  for (const { name, run } of adapterCases(harness)) {
    // Of two lines in a list of pairs, `compression` itself keeps the last, with sessions and without.
    const theirs = label.includes('compression after') && name.includes('a list of pairs')
    const check = theirs ? test.fails : test
    check(name, run)
  }
})
