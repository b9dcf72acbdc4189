"""projector: TaskRouter's event callbacks, stored for good and folded into tables of Workers, Tasks and all they touch."""
