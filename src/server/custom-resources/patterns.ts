/** Patterns of schemas are RE2 expressions: linear in the text, so that no definition can stall the server. Compiled once each. */
import { RE2JS } from '@bufbuild/re2'

export type CompiledPattern = { readonly isIn: (text: string) => boolean } | { readonly fault: string }

/** How many patterns are remembered; schemas repeat the same few. */
const MAX_KNOWN = 2000
const known = new Map<string, CompiledPattern>()

export function compilePattern(pattern: string): CompiledPattern {
  const found = known.get(pattern)
  if (found) return found
  if (known.size >= MAX_KNOWN) known.delete(known.keys().next().value!)
  const compiled = compile(pattern)
  known.set(pattern, compiled)
  return compiled
}

function compile(pattern: string): CompiledPattern {
  try {
    const expression = RE2JS.compile(pattern)
    return { isIn: (text) => expression.test(text) }
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) }
  }
}
