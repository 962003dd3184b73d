/** The matchConditions of webhook authorizers: CEL over `request`, the spec of the SubjectAccessReview that would be sent. */
import type { TypeProvider } from '../../cel/checker.ts'
import { compile, type Program } from '../../cel/compile.ts'
import { BOOL, formatType, isSameType, objectOf, parseType } from '../../cel/types.ts'

export interface ReviewCondition {
  readonly source: string
  readonly program: Program
}

const PREFIX = 'kubernetes.authorization.'
const requirement = { key: 'string', operator: 'string', values: 'list(string)' }

const FIELDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  SubjectAccessReviewSpec: {
    resourceAttributes: `${PREFIX}ResourceAttributes`,
    nonResourceAttributes: `${PREFIX}NonResourceAttributes`,
    user: 'string',
    groups: 'list(string)',
    extra: 'map(string, list(string))',
    uid: 'string',
  },
  ResourceAttributes: {
    namespace: 'string',
    verb: 'string',
    group: 'string',
    version: 'string',
    resource: 'string',
    subresource: 'string',
    name: 'string',
    fieldSelector: `${PREFIX}FieldSelectorAttributes`,
    labelSelector: `${PREFIX}LabelSelectorAttributes`,
  },
  NonResourceAttributes: { path: 'string', verb: 'string' },
  FieldSelectorAttributes: { rawSelector: 'string', requirements: `list(${PREFIX}SelectorRequirement)` },
  LabelSelectorAttributes: { rawSelector: 'string', requirements: `list(${PREFIX}SelectorRequirement)` },
  SelectorRequirement: requirement,
}

const fieldsOf = (typeName: string) =>
  typeName.startsWith(PREFIX) && Object.hasOwn(FIELDS, typeName.slice(PREFIX.length)) ? FIELDS[typeName.slice(PREFIX.length)] : undefined

const types: TypeProvider = {
  fieldOf(typeName, field) {
    const fields = fieldsOf(typeName)
    return fields && Object.hasOwn(fields, field) ? parseType(fields[field]!) : undefined
  },
  hasType: (typeName) => fieldsOf(typeName) !== undefined,
}

/** The condition, or what is wrong with it. */
export function compileReviewCondition(source: string): ReviewCondition | string {
  const program = compile(source, { request: objectOf(`${PREFIX}SubjectAccessReviewSpec`) }, types)
  if ('errors' in program) return `compilation failed: ${program.errors}`
  if (!isSameType(program.type, BOOL)) return `must evaluate to ${formatType(BOOL)} but got ${formatType(program.type)}`
  return { source, program }
}

/** Whether all hold; otherwise an error of one, when none is false (upstream's CELMatcher). */
export function conditionsHold(conditions: readonly ReviewCondition[], request: object): boolean | { readonly error: string } {
  const errors: string[] = []
  for (const { source, program } of conditions) {
    const outcome = program.evaluate({ request })
    if ('error' in outcome) errors.push(`expression '${source}' resulted in error: ${outcome.error}`)
    else if (outcome.value !== true) return false
  }
  return errors.length === 0 || { error: errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]` }
}
