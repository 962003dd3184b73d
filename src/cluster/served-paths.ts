/** The paths of the API server that are no resources: discovery, and OpenAPI with the texts that `kubectl explain` shows. */
import type { ResourceInfo } from '../api/schema.ts'
import { createDiscoveryPaths } from '../server/discovery-paths.ts'
import { createDescriptions } from '../server/http/descriptions.ts'
import { createOpenApiPaths } from '../server/openapi/paths.ts'
import type { PathHandler } from '../server/router.ts'

/** The built-in resources never change while a server runs. */
const never = (): void => {}

export function servedPaths(infos: readonly ResourceInfo[], serverAddress: string): readonly PathHandler[] {
  const resources = () => infos
  return [
    createDiscoveryPaths({ resources, onChange: never, serverAddress }),
    createOpenApiPaths({ resources, onChange: never, describe: createDescriptions(), title: 'Kubernetes', version: 'v1.36.3' }),
  ]
}
