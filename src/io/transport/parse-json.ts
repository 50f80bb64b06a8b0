import { QevmError, type ErrorCode } from "../../bytes/errors.js";
import { parseExactJson } from "../../bytes/exact-json.js";
import { textOf } from "./attempt.js";

/** Maximum nesting of a JSON file. Device state nests about ten levels, and the code that walks it is recursive. */
const DEEPEST = 200;

/**
 * Parses the text of a JSON file without rounding numbers. Errors: `code` where it is not JSON; limit where it nests
 * deeper than 200 levels, with the character position.
 * @param name what errors begin with
 */
export function parseJson(text: string, name: string, code: ErrorCode = "bad-description"): unknown {
  checkDepth(text, name);
  try {
    return parseExactJson(text);
  } catch (error) {
    throw new QevmError(code, `${name}: ${textOf(error)}`, { cause: error });
  }
}

/** The count may be wrong for invalid JSON, but the parser refuses that anyway. */
function checkDepth(text: string, name: string): void {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (quoted) {
      if (c === BACKSLASH) at++;
      else if (c === QUOTE) quoted = false;
    } else if (c === QUOTE) quoted = true;
    else if (c === OPEN_LIST || c === OPEN_OBJECT) depth++;
    else if (c === CLOSE_LIST || c === CLOSE_OBJECT) depth--;
    if (depth > DEEPEST) {
      throw new QevmError("limit", `${name}: nested too deep at character ${at}`, {
        expected: `at most ${DEEPEST} levels`,
      });
    }
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
