/** Checks data against a Standard Schema (zod, valibot, arktype and others alike: https://standardschema.dev). */

/** The part of Standard Schema version 1 that is used here. */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

/** What a schema says of a value. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string; readonly path?: readonly unknown[] | undefined }[] }

/** The value as the schema gives it back, or where it does not fit: a path, never the value or words about it. */
export function checkSchema(schema: StandardSchema, value: unknown): { value: unknown } | { misfit: string } {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise)
    throw new TypeError('schema: it checks asynchronously, which a session cannot wait for; use a synchronous one')
  if (!result.issues) return { value: result.value }
  const path = result.issues[0]?.path?.map((part) =>
    String(typeof part === 'object' && part !== null && 'key' in part ? part.key : part),
  )
  return { misfit: path?.join('.') || 'its root' }
}
