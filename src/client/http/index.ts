/** The HTTPS side of `proa/client`: apart from it, because it needs Node.js. */
export {
  connectionOf,
  createKubeconfig,
  formatKubeconfig,
  loadConnection,
  optionsFromKubeconfig,
  parseKubeconfig,
  writeKubeconfig,
} from './kubeconfig.ts'
export type { Kubeconfig, KubeconfigConnection, SimpleKubeconfig } from './kubeconfig.ts'
export { createHttpTransport } from './transport.ts'
export type { HttpTransport, HttpTransportOptions } from './transport.ts'
