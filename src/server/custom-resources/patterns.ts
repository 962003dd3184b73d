/** Patterns of schemas are RE2 expressions, as those of CEL are: linear in the text, so that no definition can stall the server. */
import { compilePattern as compileExpression } from '../../cel/library/patterns.ts'

export type CompiledPattern = { readonly isIn: (text: string) => boolean } | { readonly fault: string }

export function compilePattern(pattern: string): CompiledPattern {
  try {
    const expression = compileExpression(pattern)
    return { isIn: (text) => expression.matcher(text).find() }
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) }
  }
}
