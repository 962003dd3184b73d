/** The kind CustomResourceDefinition: its defaults, what a write may change, its rules (apiextensions-apiserver's strategy). */
import type { CustomResourceDefinition, JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import { defineResource, type Resource } from '../resource.ts'
import { changeField, withDefaults, withField } from '../resources/immutable.ts'
import { withCondition } from './conditions.ts'
import { validateDefinition, validateDefinitionStatus, validateDefinitionUpdate, type DefinitionChecks } from './definition-validation.ts'
import { isKnownFormat } from './formats.ts'
import { decodeSchemas } from './schema-decoding.ts'
import { someSchema } from './structural.ts'

/** While it is there, objects of the definition may be stored. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io'

function setDefaults(definition: CustomResourceDefinition): CustomResourceDefinition {
  const filled = changeField(decodeSchemas(definition), 'spec', (spec) => {
    const named = changeField(spec, 'names', (names) =>
      withDefaults(names, { singular: (names.kind ?? '').toLowerCase(), ...(names.kind ? { listKind: `${names.kind}List` } : {}) }),
    )
    return changeField(withDefaults(named, { conversion: { strategy: 'None' } }), 'conversion', (conversion) =>
      changeField(conversion, 'webhook', (webhook) =>
        changeField(webhook, 'clientConfig', (config) => changeField(config, 'service', (service) => withDefaults(service, { port: 443 }))),
      ),
    )
  })
  return definition.status?.storedVersions?.length ? filled : storing(filled)
}

/** With the storage version among those of which objects may be stored. */
function storing(definition: CustomResourceDefinition): CustomResourceDefinition {
  const stored = definition.status?.storedVersions ?? []
  const version = definition.spec?.versions?.find(({ storage }) => storage)?.name
  if (version === undefined || stored.includes(version)) return definition
  return withField(definition, 'status', {
    ...definition.status,
    storedVersions: [...stored, version],
  })
}

function formatsOf({ spec }: CustomResourceDefinition): ReadonlySet<string> {
  const unknown = new Set<string>()
  const look = (props: JSONSchemaProps): boolean => {
    if (props.format && !isKnownFormat(props)) unknown.add(props.format)
    return false
  }
  for (const { schema } of spec?.versions ?? []) someSchema(schema?.openAPIV3Schema, look)
  return unknown
}

/** First the definition is marked, with the finalizer that keeps it until its objects are gone. */
function markForDeletion(definition: CustomResourceDefinition, now: string): CustomResourceDefinition {
  const { finalizers = [] } = definition.metadata ?? {}
  const conditions = withCondition(
    definition.status?.conditions,
    {
      type: 'Terminating',
      status: 'True',
      reason: 'InstanceDeletionPending',
      message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
    },
    now,
  )
  return {
    ...definition,
    metadata: {
      ...definition.metadata,
      deletionTimestamp: now,
      finalizers: finalizers.includes(CLEANUP_FINALIZER) ? finalizers : [...finalizers, CLEANUP_FINALIZER],
    },
    status: { ...definition.status, conditions },
  }
}

/** The kind for a server with these checks of rules. */
export const customResourceDefinitions = (checks: DefinitionChecks): Resource =>
  defineResource({
    group: 'apiextensions.k8s.io',
    version: 'v1',
    kind: 'CustomResourceDefinition',
    setDefaults,
    prepareForCreate: (definition) => storing({ ...definition, status: { acceptedNames: { plural: '', kind: '' } } }),
    prepareForUpdate: (next, _old, { subresource }) => (subresource === 'status' ? next : storing(next)),
    validateCreate: (definition) => validateDefinition(definition, checks),
    validateUpdate: (next, old) => validateDefinitionUpdate(next, old, checks),
    validateStatusUpdate: (next) => validateDefinitionStatus(next),
    warnings(definition, old) {
      const before = old ? formatsOf(old) : new Set<string>()
      return [...formatsOf(definition)]
        .filter((format) => !before.has(format))
        .map((format) => `unrecognized format ${JSON.stringify(format)}`)
    },
    markForDeletion: (definition, now) => (definition.metadata?.deletionTimestamp ? undefined : markForDeletion(definition, now)),
  })
