// What an application gives along with a connect or a join, and the address that carries it.

/** @typedef {Record<string, unknown>} Params */

/**
 * A value, or a function that is asked for it anew each time, at once or by a promise.
 * @template T
 * @typedef {T | (() => T | Promise<T>)} Given
 */

/**
 * Hands over what was given: synchronously, unless it is a promise.
 * @template T
 * @param {Given<T>} given
 * @param {(value: T) => void} then
 * @param {(error: unknown) => void} fail called instead if the function throws or the promise is rejected
 */
export function whenGiven(given, then, fail) {
  let value;
  try {
    value = typeof given === "function" ? /** @type {() => T | Promise<T>} */ (given)() : given;
  } catch (error) {
    return fail(error);
  }
  if (value instanceof Promise) value.then(then, fail);
  else then(value);
}

/**
 * Query pairs in bracket form: `{o: {x: [1]}}` is `o[x][0]=1`. Null and undefined are left out.
 * @param {Params | unknown[]} params
 * @param {string} [parent]
 * @returns {[string, string][]}
 */
function pairs(params, parent) {
  return Object.entries(params).flatMap(([key, value]) => {
    const name = parent === undefined ? key : `${parent}[${key}]`;
    if (value === null || value === undefined) return [];
    if (typeof value === "object") return pairs(/** @type {Params} */ (value), name);
    return [/** @type {[string, string]} */ ([name, String(value)])];
  });
}

/**
 * The address of one connection.
 * @param {string} endPoint a path of this page's host, or a whole ws, wss, http or https address
 * @param {Params} params
 */
export function endPointURL(endPoint, params) {
  const address = `${endPoint.replace(/\/$/, "")}/websocket?${new URLSearchParams(pairs(params))}`;
  if (!address.startsWith("/")) return address.replace(/^http/, "ws");
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return address.startsWith("//") ? scheme + address : `${scheme}//${location.host}${address}`;
}
