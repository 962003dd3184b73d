/** Headers that may come more than once: each line is a value of its own, whatever commas are in it. */
import type { ApiRequest } from '../../api/exchange.ts'

/** Group names may hold commas: to split what the wire kept apart would make one group into others. */
export function allValues({ headers, headerLines }: Pick<ApiRequest, 'headers' | 'headerLines'>, name: string): readonly string[] {
  const lines = headerLines?.[name]
  if (lines) return lines
  const value = headers[name]
  return value === undefined ? [] : [value]
}

/** The key in the name of an extra header. What is not percent-encoded well stays as it is. */
export function unescapeHeaderKey(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch (error) {
    if (error instanceof URIError) return encoded
    throw error
  }
}
