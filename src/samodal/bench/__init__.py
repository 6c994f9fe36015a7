"""`samodal bench`: how fast this machine is, by stage and number of instances, and the ratio to the released manner."""
