export { Cgroups, openCgroups } from "./cgroups.ts";
