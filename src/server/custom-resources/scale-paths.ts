/** Where a custom resource keeps its replicas and its selector (spec.versions[].subresources.scale). */
import type { CustomResourceSubresourceScale } from '../../api/generated/apiextensions/v1.ts'
import type { Json, KubeObject } from '../../api/object.ts'
import { badRequest, type FieldError } from '../../api/status.ts'
import type { Resource } from '../resource.ts'
import { invalid } from '../resources/rules.ts'
import { goType } from './coerce.ts'

type JsonObject = Readonly<Record<string, Json | undefined>>

const MAX_INT32 = 2 ** 31 - 1

export interface ScalePaths {
  readonly scale: NonNullable<Resource['scale']>
  /** What is wrong with the values at the paths; those under status alone for a write to the status. */
  validate(object: KubeObject, isStatusAlone: boolean): readonly FieldError[]
}

const namesOf = (path: string): readonly string[] => path.replace(/^\./, '').split('.')

/** The value at a path; a fault where something on the way is no object. */
function nested(object: KubeObject, names: readonly string[]): { readonly value: Json | undefined } | { readonly fault: string } {
  let value = object as unknown as Json | undefined
  for (const [index, name] of names.entries()) {
    if (value === undefined) return { value }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return {
        fault: `.${names.slice(0, index).join('.')} accessor error: ${JSON.stringify(value)} is of the type ${goType(value)}, expected map[string]interface{}`,
      }
    value = (value as JsonObject)[name]
  }
  return { value }
}

function typed(
  object: KubeObject,
  names: readonly string[],
  type: 'int64' | 'string',
): { readonly value: Json | undefined } | { readonly fault: string } {
  const found = nested(object, names)
  if ('fault' in found || found.value === undefined || goType(found.value) === type) return found
  const shown = typeof found.value === 'object' ? JSON.stringify(found.value) : String(found.value)
  return { fault: `.${names.join('.')} accessor error: ${shown} is of the type ${goType(found.value)}, expected ${type}` }
}

export function scalePaths(paths: CustomResourceSubresourceScale): ScalePaths {
  const spec = namesOf(paths.specReplicasPath)
  const status = namesOf(paths.statusReplicasPath)
  const selector = paths.labelSelectorPath ? namesOf(paths.labelSelectorPath) : undefined
  const read = (object: KubeObject, names: readonly string[], type: 'int64' | 'string'): Json | undefined => {
    const found = typed(object, names, type)
    if ('fault' in found) throw badRequest(found.fault)
    return found.value
  }
  const replicasErrors = (object: KubeObject, names: readonly string[], path: string): readonly FieldError[] => {
    const found = typed(object, names, 'int64')
    if ('fault' in found) return [invalid(path, 0, found.fault)]
    const count = (found.value ?? 0) as number
    if (count < 0) return [invalid(path, count, 'should be a non-negative integer')]
    return count > MAX_INT32 ? [invalid(path, count, `should be less than or equal to ${MAX_INT32}`)] : []
  }
  return {
    scale: {
      selector: (object) => (selector ? ((read(object, selector, 'string') as string | undefined) ?? '') : ''),
      specReplicasPath: paths.specReplicasPath,
      replicas: (object) => read(object, spec, 'int64') as number | undefined,
      statusReplicas: (object) => (read(object, status, 'int64') as number | undefined) ?? 0,
      withReplicas: (object, replicas) => set(object, spec, replicas) as unknown as KubeObject,
    },
    validate(object, isStatusAlone) {
      const errors = isStatusAlone ? [] : [...replicasErrors(object, spec, paths.specReplicasPath)]
      errors.push(...replicasErrors(object, status, paths.statusReplicasPath))
      const found = selector ? typed(object, selector, 'string') : undefined
      if (found && 'fault' in found) errors.push(invalid(paths.labelSelectorPath!, '', found.fault))
      return errors
    },
  }
}

function set(object: JsonObject, names: readonly string[], value: Json): Json {
  const [name = '', ...rest] = names
  if (rest.length === 0) return { ...object, [name]: value }
  const inner = object[name]
  return {
    ...object,
    [name]: set(typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? (inner as JsonObject) : {}, rest, value),
  }
}
