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

/** The value as the schema gives it back, or the field that does not fit: no more of the path, which may be data. */
export function checkSchema(schema: StandardSchema, value: unknown): { value: unknown } | { misfit: string } {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise)
    throw new TypeError('schema: it checks asynchronously, which a session cannot wait for; use a synchronous one')
  if (!result.issues) return { value: result.value }
  const field = result.issues[0]?.path?.[0]
  return { misfit: String(typeof field === 'object' && field !== null && 'key' in field ? field.key : (field ?? '')) }
}
