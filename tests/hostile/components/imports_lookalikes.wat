;; Attacks the list of imports with names that look like those on it; an exact list must refuse them.

(component
  (import "datanode:node/logs@0.1.0" (instance))
  (import "datanode:nodes/log@0.1.0" (instance))
  (import "datanode:node/log@0.1.0-rc.1" (instance))
  (import "datanode:node/log@0.1.0+build" (instance))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
