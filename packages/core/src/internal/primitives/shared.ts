import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as RcMap from "effect/RcMap"
import * as Scope from "effect/Scope"

/** A key that is compared by its name, and carries what the first user of a resource makes the resource of. */
class Key<A> implements Equal.Equal {
  readonly name: string
  readonly value: A

  constructor(name: string, value: A) {
    this.name = name
    this.value = value
  }

  [Equal.symbol](that: unknown): boolean {
    return that instanceof Key && that.name === this.name
  }

  [Hash.symbol](): number {
    return Hash.string(this.name)
  }
}

/**
 * Shares one resource for each name of an owner. The first user makes it, and it is closed with the scope of its last user.
 * A resource that `isOver` is not given to anybody else.
 */
export const make = <Owner extends object, Given, A, E>(
  acquire: (given: Given) => Effect.Effect<A, E, Scope.Scope>,
  isOver: (resource: A) => boolean
) => {
  const maps = new WeakMap<Owner, RcMap.RcMap<Key<Given>, A, E>>()
  const mapOf = Effect.fnUntraced(function* (owner: Owner) {
    const known = maps.get(owner)
    if (known !== undefined) return known
    const map = yield* RcMap.make({ lookup: (key: Key<Given>) => acquire(key.value) }).pipe(
      Scope.provide(Scope.makeUnsafe())
    )
    maps.set(owner, map)
    return map
  })
  return Effect.fnUntraced(function* (owner: Owner, name: string, given: Given): Effect.fn.Return<A, E, Scope.Scope> {
    const map = yield* mapOf(owner)
    const key = new Key(name, given)
    const found = yield* RcMap.get(map, key)
    if (!isOver(found)) return found
    yield* RcMap.invalidate(map, key)
    return yield* RcMap.get(map, key)
  })
}
