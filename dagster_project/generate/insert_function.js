// Judges events by PLAN and acts on what it finds: the part of an insert function that is the same for every plan.
// Names and values of the plan are data and never become code.

// ------------------------------------------------------------------------------ the plan

const SCHEMAS = PLAN.schemas.map((written) => {
  const schema = Object.assign(Object.create(null), written);
  if (schema.properties) schema.properties = new Map(schema.properties);
  if (schema.enum) schema.enum = new Set(schema.enum.map(canonical));
  return schema;
});
const EVENTS = new Map(PLAN.track);
const PAGES = new Map(PLAN.pages);
const SCREENS = new Map(PLAN.screens);
const CARRIER = { identify: "traits", group: "traits" };

// ------------------------------------------------------------------------------ values

function has(object, name) {
  return Object.prototype.hasOwnProperty.call(object, name);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function typeOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

function isType(value, type) {
  const own = typeOf(value);
  return own === type || (type === "number" && own === "integer");
}

// One text for one JSON value: 1 and 1.0 are one, 1, "1" and true are three; the order of keys does not count.
function canonical(value) {
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  if (isObject(value)) {
    const inner = Object.keys(value).sort().map((name) => JSON.stringify(name) + ":" + canonical(value[name]));
    return "{" + inner.join(",") + "}";
  }
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}

function lengthOf(text) {
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}

// A number as digits and a power of ten, so that 0.3 is a multiple of 0.1.
function exact(number) {
  const [digits, power] = String(number).split("e");
  const [whole, fraction = ""] = digits.split(".");
  return [BigInt(whole + fraction), Number(power || 0) - fraction.length];
}

function isMultiple(number, step) {
  let [a, aPower] = exact(number);
  let [b, bPower] = exact(step);
  if (aPower > bPower) a *= 10n ** BigInt(aPower - bPower);
  else b *= 10n ** BigInt(bPower - aPower);
  return a % b === 0n;
}

// ------------------------------------------------------------------------------ patterns
// All places of a pattern are tried at once, so the time is in proportion to the text, whatever the pattern:
// JavaScript's own engine goes back and tries again, and some patterns make it do so for years.

const PATTERNS = PLAN.patterns.map(() => null);

function program(tree) {
  const steps = [];
  const emit = (step) => steps.push(step) - 1;
  const add = (node) => {
    if (typeof node === "string") {
      for (const letter of node) emit({ is: letter.codePointAt(0) });
      return;
    }
    const [what, ...rest] = node;
    if (what === "&") rest.forEach(add);
    else if (what === "|") {
      const ends = [];
      rest.forEach((branch, number) => {
        if (number === rest.length - 1) return add(branch);
        const split = emit({ or: [] });
        steps[split].or.push(steps.length);
        add(branch);
        ends.push(emit({ or: [] }));
        steps[split].or.push(steps.length);
      });
      ends.forEach((end) => steps[end].or.push(steps.length));
    } else if (what === "*") {
      const [least, most, inner] = rest;
      for (let n = 0; n < least; n += 1) add(inner);
      if (most === -1) {
        const split = emit({ or: [steps.length + 1] });
        add(inner);
        emit({ or: [split] });
        steps[split].or.push(steps.length);
      }
      const skips = [];
      for (let n = least; n < most; n += 1) {
        skips.push(emit({ or: [steps.length + 1] }));
        add(inner);
      }
      skips.forEach((skip) => steps[skip].or.push(steps.length));
    } else if (what === "[") {
      emit({ one: new RegExp("^(?:" + rest[0] + ")$", rest[1]), known: new Int8Array(128) });
    } else emit({ at: what });
  };
  add(tree);
  emit({ done: true });
  return steps;
}

function fits(step, code) {
  if (step.is !== undefined) return step.is === code;
  if (step.one === undefined) return false;
  if (code >= 128) return step.one.test(String.fromCodePoint(code));
  if (step.known[code] === 0) step.known[code] = step.one.test(String.fromCharCode(code)) ? 1 : -1;
  return step.known[code] === 1;
}

function isWord(code) {
  return code === 95 || (code > 47 && code < 58) || (code > 64 && code < 91) || (code > 96 && code < 123);
}

function stands(place, before, after) {
  if (place === "^") return before === -1;
  if (place === "$") return after === -1;
  if (place === "^m") return before === -1 || before === 10;
  if (place === "$m") return after === -1 || after === 10;
  return (isWord(before) !== isWord(after)) === (place === "b");
}

function found(number, text) {
  const steps = PATTERNS[number] || (PATTERNS[number] = program(PLAN.patterns[number]));
  const marks = new Int32Array(steps.length).fill(-1);
  const codes = Array.from(text, (letter) => {
    const code = letter.codePointAt(0);
    return code >= 0xd800 && code < 0xe000 ? 0xfffd : code;
  });
  let here = [];
  for (let position = 0; position <= codes.length; position += 1) {
    const before = position ? codes[position - 1] : -1;
    const after = position < codes.length ? codes[position] : -1;
    const waiting = [0, ...here.reverse()];
    const reached = [];
    while (waiting.length) {
      const at = waiting.pop();
      if (marks[at] === position) continue;
      marks[at] = position;
      const step = steps[at];
      if (step.done) return true;
      if (step.or) waiting.push(...step.or);
      else if (step.at !== undefined) {
        if (stands(step.at, before, after)) waiting.push(at + 1);
      } else reached.push(at);
    }
    here = [];
    for (const at of reached) if (after !== -1 && fits(steps[at], after)) here.push(at + 1);
  }
  return false;
}

function isDay(text) {
  const [year, month, day] = text.slice(0, 10).split("-").map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

// ------------------------------------------------------------------------------ the judge

// Calls tell(kind, path, words) for each place where a value breaks a schema.
function check(index, value, path, tell) {
  const schema = SCHEMAS[index];
  if (schema.false) return tell("combined", path, "Must not be there");
  if (schema.type && !schema.type.some((type) => isType(value, type))) {
    tell("type", path, "Invalid type. Expected: " + schema.type.join(", ") + ", given: " + typeOf(value));
  }
  if (schema.enum && !schema.enum.has(canonical(value))) tell("enum", path, "must be one of the planned values");
  if (typeof value === "number") checkNumber(schema, value, path, tell);
  else if (typeof value === "string") checkText(schema, value, path, tell);
  else if (Array.isArray(value)) checkArray(schema, value, path, tell);
  else if (isObject(value)) checkObject(schema, value, path, tell);
  checkCombined(schema, value, path, tell);
}

function keeps(index, value) {
  let fine = true;
  check(index, value, [], () => { fine = false; });
  return fine;
}

function checkNumber(schema, value, path, tell) {
  if (value < schema.minimum) tell("range", path, "Must be greater than or equal to " + schema.minimum);
  if (value <= schema.exclusiveMinimum) tell("range", path, "Must be greater than " + schema.exclusiveMinimum);
  if (value > schema.maximum) tell("range", path, "Must be less than or equal to " + schema.maximum);
  if (value >= schema.exclusiveMaximum) tell("range", path, "Must be less than " + schema.exclusiveMaximum);
  if (schema.multipleOf !== undefined && !isMultiple(value, schema.multipleOf)) {
    tell("multiple", path, "Must be a multiple of " + schema.multipleOf);
  }
}

function checkText(schema, value, path, tell) {
  if (schema.minLength !== undefined || schema.maxLength !== undefined) {
    const length = lengthOf(value);
    if (length < schema.minLength) tell("length", path, "String length must be at least " + schema.minLength);
    if (length > schema.maxLength) tell("length", path, "String length must be at most " + schema.maxLength);
  }
  if (schema.pattern !== undefined && !found(schema.pattern, value)) {
    tell("pattern", path, "Does not match the pattern");
  }
  if (schema.format !== undefined) {
    const [pattern, dated, name] = schema.format;
    if (!found(pattern, value) || (dated && value[4] === "-" && !isDay(value))) {
      tell("format", path, "Does not match format " + name);
    }
  }
}

function checkArray(schema, value, path, tell) {
  const items = value.length;
  if (items < schema.minItems) tell("items", path, "Array must have at least " + schema.minItems + " items");
  if (items > schema.maxItems) tell("items", path, "Array must have at most " + schema.maxItems + " items");
  if (schema.uniqueItems && new Set(value.map(canonical)).size < value.length) {
    tell("items", path, "Array items must be unique");
  }
  if (schema.contains !== undefined && !value.some((item) => keeps(schema.contains, item))) {
    tell("items", path, "At least one of the items must match");
  }
  if (Array.isArray(schema.items)) {
    value.forEach((item, number) => {
      if (number < schema.items.length) check(schema.items[number], item, [...path, number], tell);
      else if (schema.additionalItems !== undefined) {
        if (SCHEMAS[schema.additionalItems].false) return;
        check(schema.additionalItems, item, [...path, number], tell);
      }
    });
    if (
      schema.additionalItems !== undefined &&
      SCHEMAS[schema.additionalItems].false &&
      value.length > schema.items.length
    ) {
      tell("items", path, "No additional items are allowed in the array");
    }
  } else if (schema.items !== undefined) {
    value.forEach((item, number) => check(schema.items, item, [...path, number], tell));
  }
}

function checkObject(schema, value, path, tell) {
  const names = Object.keys(value);
  if (names.length < schema.minProperties) {
    tell("members", path, "Must have at least " + schema.minProperties + " properties");
  }
  if (names.length > schema.maxProperties) {
    tell("members", path, "Must have at most " + schema.maxProperties + " properties");
  }
  for (const name of schema.required || []) {
    if (!has(value, name)) tell("required", [...path, name], "is required");
  }
  const patterns = schema.patternProperties || [];
  for (const name of names) {
    const here = [...path, name];
    let named = false;
    if (schema.properties && schema.properties.has(name)) {
      named = true;
      check(schema.properties.get(name), value[name], here, tell);
    }
    for (const [pattern, inner] of patterns) {
      if (found(pattern, name)) {
        named = true;
        check(inner, value[name], here, tell);
      }
    }
    if (!named && schema.additionalProperties !== undefined) {
      const allowed = schema.additionalProperties;
      if (SCHEMAS[allowed].false) tell("unplanned_property", here, "Additional property is not allowed");
      else check(allowed, value[name], here, tell);
    }
    if (schema.propertyNames !== undefined && !keeps(schema.propertyNames, name)) {
      tell("members", here, "The name of this property is not allowed");
    }
  }
  for (const [name, needed] of schema.dependencies || []) {
    if (!has(value, name)) continue;
    if (typeof needed === "number") check(needed, value, path, tell);
    else if (needed.some((each) => !has(value, each))) {
      tell("members", path, "Has a dependency on a property that is not there");
    }
  }
}

function checkCombined(schema, value, path, tell) {
  for (const inner of schema.allOf || []) check(inner, value, path, tell);
  if (schema.anyOf && !schema.anyOf.some((inner) => keeps(inner, value))) {
    tell("combined", path, "Must validate at least one schema (anyOf)");
  }
  if (schema.oneOf && schema.oneOf.filter((inner) => keeps(inner, value)).length !== 1) {
    tell("combined", path, "Must validate one and only one schema (oneOf)");
  }
  if (schema.not !== undefined && keeps(schema.not, value)) {
    tell("combined", path, "Must not validate the schema (not)");
  }
  if (schema.if !== undefined) {
    const following = keeps(schema.if, value) ? schema.then : schema.else;
    if (following !== undefined) check(following, value, path, tell);
  }
}

// The members of a value that none of its schemas names; a schema that is open on purpose names all.
function unnamed(indices, value, path, tell) {
  const schemas = indices.map((index) => SCHEMAS[index]);
  if (!isObject(value) || schemas.some((each) => each.patternProperties || each.open)) return;
  for (const name of Object.keys(value)) {
    const own = schemas.filter((each) => each.properties && each.properties.has(name));
    const inner = own.map((each) => each.properties.get(name));
    if (!own.length && !schemas.some((each) => (each.required || []).includes(name))) {
      tell("unplanned_property", [...path, name], "is not in the tracking plan");
    } else if (inner.some((index) => SCHEMAS[index].properties && SCHEMAS[index].properties.size)) {
      const further = inner.filter((index) => !SCHEMAS[index].true && !SCHEMAS[index].false);
      unnamed(further, value[name], [...path, name], tell);
    }
  }
}

function ofVersion(name, event) {
  const versions = EVENTS.get(name);
  if (versions === undefined) return [];
  const protocols = isObject(event.context) && isObject(event.context.protocols) ? event.context.protocols : {};
  const wanted = versions.find(([version]) => version === protocols.event_version);
  return [(wanted || versions[0])[1]];
}

function rulesOf(event) {
  const call = event.type;
  const common = PLAN.common === null ? [] : [PLAN.common];
  if (call === "track") return [...ofVersion(event.event, event), ...common];
  if (call === "identify") return [...(PLAN.identify === null ? [] : [PLAN.identify]), ...common];
  if (call === "group") return [...(PLAN.group === null ? [] : [PLAN.group]), ...common];
  if (call === "page" || call === "screen") {
    const own = call === "page" ? PAGES : SCREENS;
    const named = [own.get("(" + call + ")"), event.name ? own.get(event.name) : undefined];
    const shown = ofVersion(call === "page" ? "Page Viewed" : "Screen Viewed", event);
    return [...shown, ...named.filter((each) => each !== undefined), ...common];
  }
  return common;
}

function isExempt(kind, call, name, inside) {
  return PLAN.exemptions.some((exempt) => (
    (exempt.rules === undefined || exempt.rules.includes(kind)) &&
    (exempt.event === undefined || exempt.event === name || exempt.event === "(" + call + ")") &&
    (exempt.property === undefined || inside === exempt.property || inside.startsWith(exempt.property + "."))
  ));
}

// Where an event breaks the plan: a list of {rule, path, description}; values of the event are in none of it.
function violationsOf(event) {
  const call = event.type;
  const carrier = CARRIER[call] || "properties";
  const sent = event[carrier] === null || event[carrier] === undefined ? { ...event, [carrier]: {} } : event;
  const name = call === "track" ? event.event : call === "page" || call === "screen" ? event.name : "";
  const seen = new Set();
  const violations = [];
  const tell = (rule, path, description) => {
    const key = rule + " " + path.join(".") + " " + description;
    const steps = path[0] === carrier ? path.slice(1) : [];
    const inside = steps.map((step) => (typeof step === "number" ? "$" : step)).join(".");
    if (seen.has(key) || isExempt(rule, call, name, inside)) return;
    seen.add(key);
    violations.push({ rule, path, description });
  };
  const planned = call !== "track" || EVENTS.has(name);
  if (!planned) tell("unplanned_event", ["event"], "is not in the tracking plan");
  const rules = rulesOf(event);
  for (const index of rules) check(index, sent, [], tell);
  if (PLAN.strict && planned && rules.length) {
    const schemas = rules.map((index) => SCHEMAS[index].properties && SCHEMAS[index].properties.get(carrier));
    unnamed(schemas.filter((index) => index !== undefined && !SCHEMAS[index].true), sent[carrier], [carrier], tell);
  }
  return violations;
}

// ------------------------------------------------------------------------------ what is done about it

const MOST_TOLD = 20; // of an event's violations; an event may weigh 32 KB

function note(event, told) {
  if (!isObject(event.context)) event.context = {};
  const earlier = isObject(event.context.recon) ? event.context.recon : {};
  event.context.recon = { ...earlier, ...told };
  return event;
}

function described(violations) {
  return violations.slice(0, MOST_TOLD).map(({ rule, path, description }) => (
    { type: rule, field: path.join(".") || "(root)", description }
  ));
}

function enforced(event) {
  let violations;
  try {
    violations = violationsOf(event);
  } catch (error) {
    // A mistake of this function must not lose an event: it goes on, and says so.
    return note(event, { error: String(error && error.name) });
  }
  if (!violations.length) return event;
  const unplanned = violations.some(({ rule }) => rule === "unplanned_event");
  if (PLAN.mode === "drop" || (PLAN.mode === "omit" && unplanned)) {
    const rules = [...new Set(violations.map(({ rule }) => rule))].sort().join(", ");
    throw new DropEvent("breaks the tracking plan: " + rules);
  }
  if (PLAN.mode === "flag") return note(event, { violations: described(violations) });
  const carrier = CARRIER[event.type] || "properties";
  const omitted = [];
  for (const { rule, path } of violations) {
    const name = path[1];
    if (rule === "required" || path[0] !== carrier || path.length < 2 || !isObject(event[carrier])) continue;
    if (has(event[carrier], name)) {
      delete event[carrier][name];
      omitted.push(carrier + "." + name);
    }
  }
  return note(event, { violations: described(violations), ...(omitted.length ? { omitted } : {}) });
}

async function onTrack(event) {
  return enforced(event);
}
async function onIdentify(event) {
  return enforced(event);
}
async function onGroup(event) {
  return enforced(event);
}
async function onPage(event) {
  return enforced(event);
}
async function onScreen(event) {
  return enforced(event);
}
async function onAlias(event) {
  return enforced(event);
}
// Nothing to judge, and without a handler Segment would drop the call.
async function onDelete(event) {
  return event;
}
