export { type BuildRootfsOptions, buildRootfs, type RootfsBuild } from "./build.ts";
export { noteUse, removeUnused } from "./cache.ts";
export { type BuiltInTemplate, loadTemplate, type TemplateDefinition } from "./definition.ts";
export { treeDigest } from "./digest.ts";
export { digestIngredients, type Ingredients } from "./ingredients.ts";
