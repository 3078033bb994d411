import type { IncomingMessage } from 'node:http'
import { peerOf } from '@sojourn/server/peer'
import { describe, expect, test } from 'vitest'

function incoming(headers: Record<string, string>, encrypted = false): IncomingMessage {
  const socket = { remoteAddress: '10.0.0.9', ...(encrypted ? { encrypted } : {}) }
  return { headers, socket } as unknown as IncomingMessage
}

describe('15.3.4: whom a request is from', () => {
  test.each([
    [
      'no proxy: what a client writes is not looked at',
      0,
      { 'x-forwarded-for': '1.1.1.1', 'x-forwarded-proto': 'https' },
      '10.0.0.9',
      false,
    ],
    ['one proxy: its entry is the last', 1, { 'x-forwarded-for': '6.6.6.6, 1.1.1.1' }, '1.1.1.1', false],
    ['two proxies: the last but one', 2, { 'x-forwarded-for': '6.6.6.6, 1.1.1.1, 10.0.0.2' }, '1.1.1.1', false],
    ['fewer entries than proxies: the first there is', 2, { 'x-forwarded-for': '1.1.1.1' }, '1.1.1.1', false],
    ['one proxy that writes nothing', 1, {}, '10.0.0.9', false],
    ['an entry that is no address', 1, { 'x-forwarded-for': 'evil\u001b[31m' }, '10.0.0.9', false],
    ['IPv6', 1, { 'x-forwarded-for': '2001:db8::1' }, '2001:db8::1', false],
    ['a proxy that ended TLS', 1, { 'x-forwarded-proto': 'https' }, '10.0.0.9', true],
    ['a proxy that was reached in the clear', 1, { 'x-forwarded-proto': 'http' }, '10.0.0.9', false],
  ])('%s', (_, hops, headers, ip, secure) => {
    expect(peerOf(incoming(headers), hops)).toEqual({ ip, secure })
  })

  test('a socket with TLS is secure, unless a proxy says that the way before it was not', () => {
    expect(peerOf(incoming({}, true), 0).secure).toBe(true)
    expect(peerOf(incoming({ 'x-forwarded-proto': 'http' }, true), 1).secure).toBe(false)
  })
})
