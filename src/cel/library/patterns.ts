/** Regular expressions are RE2's: linear in the text, so that no pattern can stall the server. */
import { RE2JS } from 're2js'
import { finding } from '../cost.ts'
import { overload, type Overload } from '../function.ts'
import { EvaluationError } from '../values.ts'

/** Compiled patterns that are kept; beyond that the oldest goes. */
const MAX_PATTERNS = 2_000
const patterns = new Map<string, RE2JS>()

/** Throws with RE2's words. */
export function compilePattern(pattern: string): RE2JS {
  const known = patterns.get(pattern)
  if (known) return known
  const compiled = RE2JS.compile(pattern)
  if (patterns.size >= MAX_PATTERNS) patterns.delete(patterns.keys().next().value!)
  patterns.set(pattern, compiled)
  return compiled
}

function patternOf(pattern: string): RE2JS {
  try {
    return compilePattern(pattern)
  } catch (error) {
    throw new EvaluationError(`Illegal regex: ${error instanceof Error ? error.message : String(error)}`)
  }
}

export const isMatch = (text: string, pattern: string): boolean => patternOf(pattern).matcher(text).find()

function find(text: string, pattern: string): string {
  const matcher = patternOf(pattern).matcher(text)
  return matcher.find() ? (matcher.group() ?? '') : ''
}

function findAll(text: string, pattern: string, limit = -1n): readonly string[] {
  const matcher = patternOf(pattern).matcher(text)
  const found: string[] = []
  while ((limit < 0n || found.length < limit) && matcher.find()) found.push(matcher.group() ?? '')
  return found
}

/** Kubernetes' regex library. */
export const regex: Readonly<Record<string, readonly Overload[]>> = {
  find: [overload('string_find_string', 'string.(string) string', find, finding)],
  findAll: [
    overload('string_find_all_string', 'string.(string) list(string)', findAll, finding),
    overload('string_find_all_string_int', 'string.(string, int) list(string)', findAll, finding),
  ],
}
