/** The paths of the API server that are no resources: discovery, and OpenAPI with the texts that `kubectl explain` shows. */
import type { ResourceInfo } from '../api/schema.ts'
import { createDiscoveryPaths } from '../server/discovery-paths.ts'
import { createDescriptions } from '../server/http/descriptions.ts'
import { createOpenApiPaths } from '../server/openapi/paths.ts'
import type { ResourceRegistry } from '../server/resource-registry.ts'
import type { PathHandler } from '../server/router.ts'
import { discoverable } from '../server/custom-resources/discoverable.ts'

/** What is served changes with every CustomResourceDefinition: the documents follow the registry. */
export function servedPaths(infos: readonly ResourceInfo[], registry: ResourceRegistry, serverAddress: string): readonly PathHandler[] {
  const onChange = (listener: () => void): void => registry.onChange(listener)
  const resources = () => discoverable(infos, registry)
  const customSchema: Parameters<typeof createOpenApiPaths>[0]['customSchema'] = ({ group, version, resource }) =>
    registry.find(group, version, resource)?.custom?.published
  return [
    createDiscoveryPaths({
      resources,
      storedAs: ({ group, version, resource }) => registry.find(group, version, resource)?.stored,
      onChange,
      serverAddress,
    }),
    createOpenApiPaths({ resources, onChange, customSchema, describe: createDescriptions(), title: 'Kubernetes', version: 'v1.36.3' }),
  ]
}
