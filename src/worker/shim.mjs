// The Worker's main module: starts the compiled program, hands it every request, and starts it anew after a panic.
//
// A panic ends the program where it stands, and what it held cannot be trusted any more. The `worker` crate logs it and
// leaves a mark behind; whoever comes next begins with a fresh copy. Requests that were under way are lost.

import module from "./index_bg.wasm";
import * as program from "./index.js";

program.initSync({ module });
const life = globalThis.__worker_init_state;

function revive() {
  if (life.criticalError) {
    life.criticalError = false;
    program.__wbg_reset_state();
  }
}

export class LoginKeeper {
  constructor(state, env) {
    this.create = () => new program.LoginKeeper(state, env);
  }

  fetch(request) {
    revive();
    if (this.instanceId !== life.instanceId) {
      this.owner = this.create();
      this.instanceId = life.instanceId;
    }
    return this.owner.fetch(request);
  }
}

export default {
  fetch(request, env, context) {
    revive();
    return program.fetch(request, env, context);
  },
};
