/** What several rounds come to. */

/** The middle one, or the mean of the middle two. */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

/** The list, begun elsewhere: so that nobody is always measured first, or always after the same neighbour. */
export function rotate(list, by) {
  const from = by % list.length
  return [...list.slice(from), ...list.slice(0, from)]
}

/** The value that such a part of the others does not exceed: 0.99 is the 99th percentile. */
export function quantile(values, part) {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)]
}
