/** Selectors of devices: what they may be, and what they cost at most (figures of upstream's dynamic-resource-allocation/cel). */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compileDeviceExpression } from './device.ts'
import { compile } from './compile.ts'

describe('expressions that select devices', () => {
  for (const [expression, cost] of [
    ['true', 0],
    ['"dra.example.com" in device.attributes', 3],
    ['device.driver == ""', 2],
    ['device.driver == "dra.example.com"', 4],
    ['device.attributes["dra.example.com"].name', 4],
    ['device.attributes["dra.example.com"]["name"]', 4],
    ['device.attributes["dra.example.com"].name > 0', 5],
    ['device.attributes["dra.example.com"].name == "fish"', 5],
    ['cel.bind(dra, device.attributes["dra.example.com"], dra.name)', 15],
  ] as const) {
    it(`${expression} costs ${cost}`, () => {
      const program = compileDeviceExpression(expression)
      assert.ok(!('errors' in program), JSON.stringify(program))
      assert.equal(program.estimatedCost?.max, cost)
    })
  }

  it('are of bool or unknown type', () => {
    assert.deepEqual(compileDeviceExpression('1'), { errors: 'must evaluate to bool or the unknown type, not int', isType: true })
    assert.match(
      (compileDeviceExpression('cel.bind(1, 2, true)') as { errors: string }).errors,
      /variable names must be simple identifiers/,
    )
  })

  it('alone have cel.bind', () => {
    assert.match((compile('cel.bind(a, 1, a) == 1', {}) as { errors: string }).errors, /undeclared reference to 'cel'/)
  })
})
