/** What an object within an object must have when its schema says that it is a resource (x-kubernetes-embedded-resource). */
import { dns1035LabelFaults, pathSegmentFaults } from '../../api/names.ts'
import type { Json, KubeObject } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import { validateObjectMeta } from '../resources/object-meta.ts'
import { invalid, required } from '../resources/rules.ts'
import type { Structural } from './structural.ts'

type JsonObject = Readonly<Record<string, Json | undefined>>

/** `isResource`: the value itself is one too, whatever its schema says. */
export function validateEmbedded(value: Json | undefined, schema: Structural, path = '', isResource = false): readonly FieldError[] {
  if (!schema.hasEmbedded && !isResource) return []
  const errors: FieldError[] = []
  look(value, schema, path, isResource, errors)
  return errors
}

function look(value: Json | undefined, schema: Structural | undefined, path: string, isResource: boolean, errors: FieldError[]): void {
  if (!schema || typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    ;(value as readonly Json[]).forEach((item, index) =>
      look(item, schema.items, `${path}[${index}]`, schema.items?.isEmbedded ?? false, errors),
    )
    return
  }
  const object = value as JsonObject
  if (isResource) checkResource(object, path, errors)
  if (!schema.hasEmbedded) return
  for (const name in object) {
    const field = schema.properties.get(name)
    if (field) look(object[name], field, child(path, name), field.isEmbedded, errors)
    else if (schema.additional?.schema) {
      const entry = schema.additional.schema
      look(object[name], entry, `${path}[${name}]`, entry.isEmbedded, errors)
    }
  }
}

const child = (path: string, name: string): string => (path ? `${path}.${name}` : name)

function checkResource(object: JsonObject, path: string, errors: FieldError[]): void {
  const { apiVersion, kind, metadata } = object
  const at = (name: string): string => child(path, name)
  if (apiVersion === undefined) errors.push(required(at('apiVersion')))
  else if (typeof apiVersion !== 'string') errors.push(invalid(at('apiVersion'), apiVersion, 'must be a string'))
  else if (apiVersion === '') errors.push(invalid(at('apiVersion'), apiVersion, 'must not be empty'))
  else if (apiVersion.split('/').length > 2)
    errors.push(invalid(at('apiVersion'), apiVersion, `unexpected GroupVersion string: ${apiVersion}`))
  if (kind === undefined) errors.push(required(at('kind')))
  else if (typeof kind !== 'string') errors.push(invalid(at('kind'), kind, 'must be a string'))
  else if (kind === '') errors.push(invalid(at('kind'), kind, 'must not be empty'))
  else {
    const faults = dns1035LabelFaults(kind.toLowerCase())
    if (faults.length > 0) errors.push(invalid(at('kind'), kind, `may have mixed case, but should otherwise match: ${faults.join(',')}`))
  }
  if (metadata === undefined || typeof metadata !== 'object' || metadata === null) return
  const meta = metadata as NonNullable<KubeObject['metadata']>
  const named = meta.name ? meta : { ...meta, name: 'fakename' }
  errors.push(...validateObjectMeta(named, { namespaced: Boolean(meta.namespace), nameFormat: pathSegmentFaults, path: at('metadata') }))
}
