// Reads AsyncAPI documents (its arguments), and prints one JSON object a line for each: its version, the number of its
// channels, and what the parser has to say of it. Severity 0 is an error, 1 a warning.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

for (const path of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"));
  const found = diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path: path.join(".") }));
  console.log(
    JSON.stringify({
      version: document?.version() ?? "",
      channels: document?.channels().all().length ?? 0,
      found,
    }),
  );
}
