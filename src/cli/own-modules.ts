/**
 * Where proa's own modules are is said by their names alone: relative, with the extension. So Node need not look for the file, for
 * links on its way and for the package.json above it, which is a quarter of what loading some 600 of them costs. Imported for what
 * it does, before anything large is.
 */
import { registerHooks } from 'node:module'

const home = new URL('..', import.meta.url).href
const [extension, format] = import.meta.url.endsWith('.ts') ? (['.ts', 'module-typescript'] as const) : (['.js', 'module'] as const)

registerHooks({
  resolve(specifier, context, nextResolve) {
    const { parentURL } = context
    if (!specifier.startsWith('.') || !specifier.endsWith(extension) || !parentURL?.startsWith(home)) return nextResolve(specifier, context)
    return { url: new URL(specifier, parentURL).href, format, shortCircuit: true }
  },
})
