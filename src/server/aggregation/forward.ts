/**
 * Requests for group versions that another API server serves go on to it, as the user that we authenticated and authorised
 * (kube-aggregator's proxy handler).
 */
import type { ApiResponse } from '../../api/exchange.ts'
import type { APIService } from '../../api/generated/apiregistration/v1.ts'
import { failure } from '../../api/status.ts'
import type { Call, Core } from '../core.ts'
import { forward } from '../subresources/proxy.ts'
import { backendOf, isAvailable, userHeaders } from './registrations.ts'

export async function forwardToServer(core: Core, { request, user, info }: Call, service: APIService): Promise<ApiResponse> {
  if (!core.roads || !isAvailable(service)) throw failure('ServiceUnavailable', 'service unavailable')
  let backend
  try {
    backend = backendOf(core, service)
  } catch (error) {
    core.runtime.log.warn('an aggregated API has no endpoint', { apiService: service.metadata?.name, error: String(error) })
    throw failure('ServiceUnavailable', 'service unavailable')
  }
  return forward(core.roads, backend, request, info.path, userHeaders(user))
}
