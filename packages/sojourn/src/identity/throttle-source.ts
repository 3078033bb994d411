/** Where a request came from, for counting: one IPv4 address, or the /64 that one subscriber of IPv6 commands. */
import { isIPv4, isIPv6 } from 'node:net'

/** The name under which an address is counted. Whatever is no address counts as one source, together. */
export function sourceOf(ip: string): string {
  if (isIPv4(ip)) return ip
  if (!isIPv6(ip)) return 'unknown'
  const groups = groupsOf(ip)
  // An IPv4 address, however its last half is written (RFC 4291, 2.5.5.2): in one /64 all of them would be one source.
  if (groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff')
    return groups
      .slice(6)
      .flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255])
      .join('.')
  return `${groups.slice(0, 4).join(':')}::/64`
}

/** The eight groups, each as short as can be. */
function groupsOf(ip: string): string[] {
  const pair = (high: string, low: string) => (Number(high) * 256 + Number(low)).toString(16)
  const text = ip
    .split('%')[0]!
    .replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => `${pair(a, b)}:${pair(c, d)}`)
  const [left = [], right] = text.split('::').map((half) => (half === '' ? [] : half.split(':')))
  const zeros = right === undefined ? 0 : 8 - left.length - right.length
  const all = [...left, ...Array<string>(Math.max(0, zeros)).fill('0'), ...(right ?? [])]
  return all.map((group) => Number.parseInt(group, 16).toString(16))
}
