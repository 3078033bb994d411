/** Bounds how much of a request is read. */

/** The most bytes of a body. No call and no form needs more than a thousandth of it. */
export const MAX_BODY = 65_536

/**
 * The request, with a body of no more than `MAX_BODY` bytes; `undefined` when it has more. One that does not say its
 * length beforehand is read here.
 */
export async function bounded(request: Request): Promise<Request | undefined> {
  const length = request.headers.get('content-length')
  if (length !== null) return Number(length) <= MAX_BODY ? request : undefined
  if (!request.headers.has('transfer-encoding') || !request.body) return request
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body) {
    size += chunk.length
    if (size > MAX_BODY) return undefined
    chunks.push(chunk)
  }
  return new Request(request.url, { method: request.method, headers: request.headers, body: Buffer.concat(chunks) })
}
