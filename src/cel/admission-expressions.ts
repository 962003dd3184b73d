/**
 * The expressions of admission: which variables they have, what those have for fields, and what they must make
 * (upstream: apiserver/pkg/admission/plugin/cel/compile.go). Validation of policies and webhooks and the plugins compile alike.
 */
import { compile, type Program } from './compile.ts'
import { rewriting } from './cost.ts'
import { overload } from './function.ts'
import { AUTHORIZER, RESOURCE_CHECK } from './library/authz.ts'
import type { TypeProvider } from './checker.ts'
import { DYN, goNameOf, isSameType, listOf, objectOf, parseType, type Type } from './types.ts'

const REQUEST = 'kubernetes.AdmissionRequest'
const NAMESPACE = 'kubernetes.Namespace'
const VARIABLES = 'kubernetes.variables'

const kindFields = { group: 'string', version: 'string', kind: 'string' }
const metadataFields = {
  name: 'string',
  generateName: 'string',
  namespace: 'string',
  labels: 'map(string, string)',
  annotations: 'map(string, string)',
  UID: 'string',
  creationTimestamp: 'timestamp',
  deletionGracePeriodSeconds: 'int',
  deletionTimestamp: 'timestamp',
  generation: 'int',
  resourceVersion: 'string',
  finalizers: 'list(string)',
}

const FIELDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  [REQUEST]: {
    kind: 'kubernetes.GroupVersionKind',
    resource: 'kubernetes.GroupVersionResource',
    subResource: 'string',
    requestKind: 'kubernetes.GroupVersionKind',
    requestResource: 'kubernetes.GroupVersionResource',
    requestSubResource: 'string',
    name: 'string',
    namespace: 'string',
    operation: 'string',
    userInfo: 'kubernetes.UserInfo',
    dryRun: 'bool',
    options: 'dyn',
  },
  JSONPatch: { op: 'string', path: 'string', from: 'string', value: 'dyn' },
  'kubernetes.GroupVersionKind': kindFields,
  'kubernetes.GroupVersionResource': { group: 'string', version: 'string', resource: 'string' },
  'kubernetes.UserInfo': { username: 'string', uid: 'string', groups: 'list(string)', extra: 'map(string, list(string))' },
  [NAMESPACE]: { metadata: 'kubernetes.NamespaceMetadata', spec: 'kubernetes.NamespaceSpec', status: 'kubernetes.NamespaceStatus' },
  'kubernetes.NamespaceMetadata': metadataFields,
  'kubernetes.NamespaceSpec': { finalizers: 'list(string)' },
  'kubernetes.NamespaceStatus': { conditions: 'list(kubernetes.NamespaceCondition)', phase: 'string' },
  'kubernetes.NamespaceCondition': {
    status: 'string',
    type: 'string',
    lastTransitionTime: 'timestamp',
    message: 'string',
    reason: 'string',
  },
}

/** `Object` is what is mutated, `Object.spec` its spec, and so on; fields are checked when the patch is applied. */
const isObjectType = (typeName: string): boolean => typeName === 'Object' || typeName.startsWith('Object.')
const isPatchType = (typeName: string): boolean => typeName === 'JSONPatch' || isObjectType(typeName)
const escapeKey = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')

/** What an expression of each type of mutation must make. */
export const PATCH_RETURNS: Readonly<Record<string, readonly Type[]>> = {
  JSONPatch: [listOf(objectOf('JSONPatch'))],
  ApplyConfiguration: [objectOf('Object')],
}

const PATCH_FUNCTIONS = {
  'jsonpatch.escapeKey': [overload('string_jsonpatch_escapeKey_string', '(string) string', escapeKey, rewriting)],
}

export interface ExpressionOptions {
  readonly hasParams?: boolean
  readonly hasAuthorizer?: boolean
  /** Whether patches can be written: `Object{…}`, `JSONPatch{…}`. */
  readonly hasPatchTypes?: boolean
  /** The variables of a policy that come before, by name; undefined where expressions have no `variables`. */
  readonly variables?: ReadonlyMap<string, Type>
  /** One of these must be made; without it anything may. */
  readonly returns?: readonly Type[]
}

/** What the objects of requests, and the parameters, are found to be; unknown types are dyn. */
export interface KnownTypes {
  readonly object: Type
  readonly params: Type
  readonly types: TypeProvider
}

const REQUEST_VARIABLES = { namespaceObject: objectOf(NAMESPACE), request: objectOf(REQUEST) }

/** What is wrong with an expression about objects of a known type, or the type of what it makes (upstream: typechecking.go). */
export function checkExpression(
  source: string,
  known: KnownTypes,
  { hasParams = false, variables }: ExpressionOptions,
): { readonly errors: string } | { readonly type: Type } {
  const declared: Record<string, Type> = {
    object: known.object,
    oldObject: known.object,
    ...REQUEST_VARIABLES,
    ...(hasParams ? { params: known.params } : {}),
    authorizer: objectOf(AUTHORIZER),
    variables: objectOf(VARIABLES),
  }
  const types: TypeProvider = {
    fieldOf: (typeName, field) =>
      (typeName === VARIABLES ? variables?.get(field) : declaredField(typeName, field)) ?? known.types.fieldOf(typeName, field),
    hasType: (typeName) => typeName === VARIABLES || Object.hasOwn(FIELDS, typeName) || known.types.hasType(typeName),
  }
  return compile(source, declared, types)
}

function declaredField(typeName: string, field: string): Type | undefined {
  const fields = FIELDS[typeName]
  return fields && Object.hasOwn(fields, field) ? parseType(fields[field]!) : undefined
}

/** How it begins where what is written out cannot be converted, which upstream takes for a fault of its own. */
export const NOT_INSTANTIATED = 'program instantiation failed'

/** The program, or what is wrong as upstream says it. */
export function compileExpression(source: string, options: ExpressionOptions): Program | string {
  const { hasParams = false, hasAuthorizer = false, hasPatchTypes = false, variables, returns } = options
  const declared: Record<string, Type> = {
    object: DYN,
    oldObject: DYN,
    ...REQUEST_VARIABLES,
    ...(hasParams ? { params: DYN } : {}),
    ...(hasAuthorizer ? { authorizer: objectOf(AUTHORIZER), 'authorizer.requestResource': objectOf(RESOURCE_CHECK) } : {}),
    ...(variables ? { variables: objectOf(VARIABLES) } : {}),
  }
  const types: TypeProvider = {
    fieldOf(typeName, field) {
      if (typeName === VARIABLES) return variables?.get(field)
      if (hasPatchTypes && isObjectType(typeName)) return DYN
      return declaredField(typeName, field)
    },
    hasType: (typeName) => typeName === VARIABLES || (isPatchType(typeName) ? hasPatchTypes : Object.hasOwn(FIELDS, typeName)),
  }
  const compiled = compile(source, declared, types, hasPatchTypes ? { functions: PATCH_FUNCTIONS } : {})
  if ('errors' in compiled) return `${compiled.isConstant ? NOT_INSTANTIATED : 'compilation failed'}: ${compiled.errors}`
  if (!returns || returns.some((type) => isSameType(type, compiled.type))) return compiled
  const wanted = returns.map(goNameOf)
  return `must evaluate to ${wanted.length === 1 ? wanted[0] : `one of [${wanted.join(' ')}]`} but got ${goNameOf(compiled.type)}`
}
